// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Moved: stays here until 1.0.
#include <muster/cluster/sbr/model.hpp>    // IWYU pragma: export
#include <muster/cluster/sbr/provider.hpp> // IWYU pragma: export
#include <muster/cluster/sbr/record.hpp>   // IWYU pragma: export
#include <muster/cluster/sbr/settings.hpp> // IWYU pragma: export
#include <muster/cluster/sbr/strategy.hpp> // IWYU pragma: export
