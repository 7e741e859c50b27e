// SPDX-License-Identifier: Apache-2.0
#include "core_script.hpp"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    muster::wire::fuzz::run_core_script(std::as_bytes(std::span{data, size}));
    return 0;
}
