#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/state/member.hpp> // IWYU pragma: export
