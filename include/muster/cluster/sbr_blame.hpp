// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/sbr/blame.hpp> // IWYU pragma: export
