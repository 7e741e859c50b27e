// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Counts what operator new is asked for, in the program that links allocations.cpp.
#include <cstdint>

namespace muster::bench {

/// Calls of operator new in this process so far, on all threads.
std::uint64_t allocations() noexcept;

} // namespace muster::bench
