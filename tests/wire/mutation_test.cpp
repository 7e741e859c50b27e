// SPDX-License-Identifier: Apache-2.0
/// Mutations of good bytes, the same in every run: what the fuzz targets look for, in seconds and without
/// clang.
#include "../fuzz/check.hpp"
#include "base/split_mix64.hpp"
#include "golden_case.hpp"
#include "samples.hpp"

#include <boost/json/parse.hpp>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

// Under AddressSanitizer an allocation that only a claimed length could ask for ends the test.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "max_allocation_size_mb=64"; }

namespace muster::wire {
namespace {

using Bytes = std::vector<std::byte>;

class Random {
public:
    explicit Random(std::uint64_t seed) : numbers_(seed) {}
    std::uint64_t next() { return numbers_(); }
    std::size_t below(std::size_t limit) { return static_cast<std::size_t>(next() % limit); }

private:
    SplitMix64 numbers_;
};

void mutate_once(Bytes& bytes, const Bytes& other, Random& random) {
    static const std::vector<Bytes> interesting{
        {std::byte{0xff}},
        {std::byte{0xfb}, std::byte{0xff}, std::byte{0xff}},
        {std::byte{0xfc}, std::byte{0xff}, std::byte{0xff}, std::byte{0xff}, std::byte{0xff}},
        Bytes{std::byte{0xfd}, {}, {}, {}, {}, {}, {}, {}, std::byte{0x10}},
        Bytes(9, std::byte{0xfd}),
        Bytes(64, std::byte{1})};
    const std::size_t at = bytes.empty() ? 0 : random.below(bytes.size());
    const auto here = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (random.below(6)) {
    case 0:
        if (!bytes.empty()) bytes[at] ^= static_cast<std::byte>(1U << random.below(8));
        break;
    case 1:
        if (!bytes.empty()) bytes[at] = static_cast<std::byte>(random.next());
        break;
    case 2: bytes.resize(at); break;
    case 3:
        if (!bytes.empty()) bytes.erase(here);
        break;
    case 4: {
        const Bytes& piece = interesting[random.below(interesting.size())];
        bytes.insert(here, piece.begin(), piece.end());
        break;
    }
    default: // the beginning of one, the end of another
        if (!other.empty()) {
            const auto from = other.begin() + static_cast<std::ptrdiff_t>(random.below(other.size()));
            bytes.erase(here, bytes.end());
            bytes.insert(bytes.end(), from, other.end());
        }
    }
}

template <class Check>
void mutate_all(const std::vector<Bytes>& seeds, std::size_t rounds, Check&& check) {
    Random random{20'240'601};
    for (const Bytes& seed : seeds) {
        check(seed);
        for (std::size_t round = 0; round < rounds; ++round) {
            Bytes bytes = seed;
            for (std::size_t n = 1 + random.below(3); n > 0; --n)
                mutate_once(bytes, seeds[random.below(seeds.size())], random);
            check(bytes);
        }
    }
}

Bytes body_of(std::span<const std::byte> frame) {
    const auto body = frame.subspan(frame_header_bytes);
    return {body.begin(), body.end()};
}

TEST(Mutation, NoBytesMakeTheFrameDecoderFailOtherThanWithAnError) {
    constexpr std::size_t long_frame = 2000; // every byte of it would only repeat what shorter ones show
    std::vector<Bytes> seeds;
    std::ifstream in{MUSTER_GOLDEN_DIR "/frames.json"};
    std::stringstream text;
    text << in.rdbuf();
    const auto golden_file = boost::json::parse(text.str());
    for (const auto& frame : golden_file.as_object().at("frames").as_array())
        seeds.push_back(body_of(golden::frame_bytes(frame.as_object())));
    for (const ClusterFrame& frame : samples::frames())
        seeds.push_back(body_of(encode_frame(frame)->bytes()));
    std::erase_if(seeds, [](const Bytes& seed) { return seed.size() > long_frame; });
    ASSERT_GT(seeds.size(), 60U);
    mutate_all(seeds, 200, fuzz::check_frame_body);
}

TEST(Mutation, NoBytesMakeTheArchiveFailOtherThanWithAnError) {
    const std::vector<Bytes> seeds{Bytes(48, std::byte{0}), Bytes(64, std::byte{1}), fuzz::sample_archive()};
    mutate_all(seeds, 3000, fuzz::check_archive);
}

} // namespace
} // namespace muster::wire
