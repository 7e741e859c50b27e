#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/failure/heartbeat.hpp> // IWYU pragma: export
