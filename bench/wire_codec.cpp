// SPDX-License-Identifier: Apache-2.0
/// The cost of encoding and decoding: tells in place, a user's struct through the archives, and a gossip of a
/// thousand members.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <muster/wire/archive.hpp>
#include <muster/wire/envelope.hpp>
#include <muster/wire/frame.hpp>

namespace muster::wire {
namespace {

constexpr std::string_view target = "akka.tcp://S@127.0.0.1:2552/user/echo";
constexpr std::string_view sender = "akka.tcp://S@127.0.0.1:2551/user/me";

Tell tell_of(std::span<const std::byte> payload) { return {target, "json:Hello", payload, sender}; }

void EncodeTell(benchmark::State& state) {
    const std::vector<std::byte> payload(static_cast<std::size_t>(state.range(0)), std::byte{7});
    const Tell tell = tell_of(payload);
    std::vector<std::byte> chunk(64 * 1024 + payload.size());
    std::byte* out = chunk.data();
    for (auto _ : state) {
        const std::size_t bytes = tell_frame_bytes(tell);
        if (out + bytes > chunk.data() + chunk.size()) out = chunk.data();
        out = write_tell(out, tell, bytes);
        benchmark::DoNotOptimize(out);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(tell_frame_bytes(tell)));
}
BENCHMARK(EncodeTell)->Arg(64)->Arg(1024);

/// With the checks that the first tell of a path needs.
void CheckAndEncodeTell(benchmark::State& state) {
    const std::vector<std::byte> payload(64, std::byte{7});
    const Tell tell = tell_of(payload);
    std::vector<std::byte> chunk(1024);
    for (auto _ : state) {
        bool sendable = tell_is_sendable(tell);
        benchmark::DoNotOptimize(sendable);
        benchmark::DoNotOptimize(write_tell(chunk.data(), tell, tell_frame_bytes(tell)));
        benchmark::ClobberMemory();
    }
}
BENCHMARK(CheckAndEncodeTell);

void DecodeTell(benchmark::State& state) {
    const std::vector<std::byte> payload(static_cast<std::size_t>(state.range(0)), std::byte{7});
    const Tell tell = tell_of(payload);
    std::vector<std::byte> frame(tell_frame_bytes(tell));
    write_tell(frame.data(), tell, frame.size());
    const auto body = std::span<const std::byte>{frame}.subspan(frame_header_bytes);
    Tell parsed;
    for (auto _ : state) {
        bool good = parse_tell(body, parsed);
        benchmark::DoNotOptimize(good);
        benchmark::DoNotOptimize(parsed);
    }
}
BENCHMARK(DecodeTell)->Arg(64)->Arg(1024);

void EncodeInternedTell(benchmark::State& state) {
    const std::vector<std::byte> payload(64, std::byte{7});
    const InternedTellView tell{1, 2, 3, payload};
    std::vector<std::byte> chunk(1024);
    for (auto _ : state) {
        benchmark::DoNotOptimize(write_tell(chunk.data(), tell, tell_frame_bytes(tell)));
        benchmark::ClobberMemory();
    }
}
BENCHMARK(EncodeInternedTell);

void DecodeInternedTell(benchmark::State& state) {
    const std::vector<std::byte> payload(64, std::byte{7});
    const InternedTellView tell{1, 2, 3, payload};
    std::vector<std::byte> frame(tell_frame_bytes(tell));
    write_tell(frame.data(), tell, frame.size());
    const auto body = std::span<const std::byte>{frame}.subspan(frame_header_bytes);
    InternedTellView parsed;
    for (auto _ : state) {
        bool good = parse_tell(body, parsed);
        benchmark::DoNotOptimize(good);
        benchmark::DoNotOptimize(parsed);
    }
}
BENCHMARK(DecodeInternedTell);

/// Nothing to allocate: the archives alone. Some 85 bytes encoded.
struct Reading {
    std::uint64_t id = 0x0123456789abcdef;
    std::uint64_t time = 1'700'000'000'000;
    std::uint32_t sensor = 70'000;
    std::int32_t offset = -3;
    std::array<double, 4> values{1.5, 2.5, -1e9, 3.25};
    bool valid = true;
    std::string unit = "celsius";
    std::array<std::uint8_t, 16> key{1, 2, 3};
    std::optional<std::uint32_t> quality = 9;

    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& id& time& sensor& offset& values& valid& unit& key& quality;
    }
};

/// A string and a vector to allocate when decoding.
struct Order {
    std::uint64_t id = 0x0123456789abcdef;
    std::uint32_t customer = 70'000;
    std::int32_t quantity = -3;
    double price = 9.99;
    bool express = true;
    std::string item = "a thing of some name, as things go";
    std::array<std::uint8_t, 16> key{1, 2, 3};
    std::optional<std::uint32_t> coupon = 9;
    std::vector<std::uint16_t> lines{1, 2, 3, 1000};

    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& id& customer& quantity& price& express& item& key& coupon& lines;
    }
};

template <class T>
void EncodeStruct(benchmark::State& state) {
    const T value;
    BufferSink sink;
    for (auto _ : state) {
        sink.clear();
        benchmark::DoNotOptimize(encode(value, sink));
        benchmark::ClobberMemory();
    }
    state.counters["bytes"] = static_cast<double>(sink.size());
}
BENCHMARK(EncodeStruct<Reading>);
BENCHMARK(EncodeStruct<Order>);

template <class T>
void DecodeStruct(benchmark::State& state) {
    const auto bytes = encode(T{});
    for (auto _ : state) benchmark::DoNotOptimize(decode<T>(bytes->bytes()));
}
BENCHMARK(DecodeStruct<Reading>);
BENCHMARK(DecodeStruct<Order>);

GossipPtr gossip_of(std::size_t count) {
    std::vector<Member> members;
    std::vector<VectorClock::Entry> clock;
    for (std::size_t i = 0; i < count; ++i) {
        const UniqueAddress node{
            Address::remote("akka.tcp", "shop", fmt::format("node-{:04}.example.com", i), 2552),
            Uid{static_cast<std::int64_t>((i + 1) * 0x9e3779b97f4a7c15U)}};
        members.emplace_back(node, MemberStatus::Up, std::vector<std::string>{"backend"},
                             static_cast<std::int32_t>(i + 1));
        clock.push_back({node.key(), i + 1});
    }
    return std::make_shared<const Gossip>(
        *Gossip::from_parts(std::move(members), {}, {}, VectorClock::from_entries(std::move(clock)), {}));
}

void EncodeGossipBody(benchmark::State& state) {
    const GossipPtr gossip = gossip_of(static_cast<std::size_t>(state.range(0)));
    std::size_t bytes = 0;
    for (auto _ : state) {
        EnvelopeEncoder encoder;
        bytes = encoder.body_of(gossip, frame_bytes_max_default)->size();
    }
    state.counters["bytes_per_member"] = static_cast<double>(bytes) / static_cast<double>(state.range(0));
}
BENCHMARK(EncodeGossipBody)->RangeMultiplier(10)->Range(10, 10'000)->Unit(benchmark::kMicrosecond);

/// The cost of each send of a body that is encoded already.
void EncodeEnvelopeHead(benchmark::State& state) {
    const GossipPtr gossip = gossip_of(1000);
    const ClusterMessage message =
        GossipEnvelope{gossip->members()[0].unique_address(), gossip->members()[1].unique_address(), gossip};
    EnvelopeEncoder encoder;
    for (auto _ : state) benchmark::DoNotOptimize(encode_message(message, encoder));
}
BENCHMARK(EncodeEnvelopeHead);

void DecodeEnvelope(benchmark::State& state) {
    const GossipPtr gossip = gossip_of(static_cast<std::size_t>(state.range(1)));
    const auto frame = encode_frame(ClusterMessage{GossipEnvelope{
        gossip->members()[0].unique_address(), gossip->members()[1].unique_address(), gossip}});
    const Slice body = frame->sub(frame_header_bytes, frame->size() - frame_header_bytes);
    const auto changed =
        std::make_shared<const Gossip>(gossip->increment(gossip->members()[0].unique_address()));
    for (auto _ : state) {
        Interner interner;
        if (state.range(0) != 0) interner.remember(changed); // all members known, another version
        benchmark::DoNotOptimize(decode_frame(body, {.interner = &interner}));
    }
}
BENCHMARK(DecodeEnvelope)
    ->ArgsProduct({{0, 1}, {10, 100, 1000, 10'000}})
    ->ArgNames({"known", "members"})
    ->Unit(benchmark::kMicrosecond);

} // namespace
} // namespace muster::wire

BENCHMARK_MAIN();
