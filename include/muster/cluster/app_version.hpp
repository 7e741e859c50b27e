// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/state/app_version.hpp> // IWYU pragma: export
