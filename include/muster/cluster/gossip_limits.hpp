#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/state/gossip_limits.hpp> // IWYU pragma: export
