#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/state/events.hpp> // IWYU pragma: export
