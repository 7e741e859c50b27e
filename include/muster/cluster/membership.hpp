// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/compat/membership.hpp> // IWYU pragma: export
#include <muster/cluster/state/membership.hpp>  // IWYU pragma: export
