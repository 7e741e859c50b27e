// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Shared by probe() and the making of a Runtime.
#include "ring.hpp"
#include <muster/error.hpp>

namespace muster::uring {

/// Why setting up a ring failed with `error`, and the remedy.
Error explain_setup_failure(int error);
/// Whether `ring` can make a group of provided buffers with these flags; the error is an errno value.
int try_buffer_group(Ring& ring, std::uint16_t flags) noexcept;
/// What this kernel offers, as far as can be seen from `ring` (not yet enabled).
/// Errors: as probe().
result<Capabilities> examine(Ring& ring);

} // namespace muster::uring
