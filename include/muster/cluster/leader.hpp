#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/compat/leader.hpp> // IWYU pragma: export
