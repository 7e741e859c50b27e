// SPDX-License-Identifier: Apache-2.0
#include "check.hpp"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    muster::wire::fuzz::check_frame_body(std::as_bytes(std::span{data, size}));
    return 0;
}
