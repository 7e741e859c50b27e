// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/sbr/lease.hpp>    // IWYU pragma: export
#include <muster/node/file_lease.hpp>      // IWYU pragma: export
#include <muster/node/in_memory_lease.hpp> // IWYU pragma: export
