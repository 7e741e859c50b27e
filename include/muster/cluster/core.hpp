#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/core/core.hpp> // IWYU pragma: export
