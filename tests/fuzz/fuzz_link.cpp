// SPDX-License-Identifier: Apache-2.0
#include "link_script.hpp"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    muster::transport::fuzz::run_link_script(std::as_bytes(std::span{data, size}));
    return 0;
}
