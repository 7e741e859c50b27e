// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/protocol/effects.hpp> // IWYU pragma: export
