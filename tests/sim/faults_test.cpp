// SPDX-License-Identifier: Apache-2.0
/// Links that are broken on purpose: each fault does what it says, alike on every compiler.
#include "scene.hpp"

#include <algorithm>
#include <array>
#include <muster/sim/faults.hpp>

namespace muster::sim::test {
namespace {

using Shape = DelayDistribution::Shape;

constexpr HostId a{0}, b{1}, c{2};
constexpr Segment data(HostId from, HostId to, std::size_t bytes = 100) {
    return {.kind = Segment::Kind::Data, .from = from, .to = to, .bytes = bytes};
}

std::vector<std::int64_t> drawn(const DelayDistribution& delay, std::size_t count) {
    Random random(7);
    std::vector<std::int64_t> result;
    for (std::size_t i = 0; i < count; ++i) result.push_back(delay.draw(random).count());
    return result;
}

double mean_of(const std::vector<std::int64_t>& values) {
    std::int64_t sum = 0;
    for (const auto value : values) sum += value;
    return static_cast<double>(sum) / static_cast<double>(values.size());
}

double share_above(const std::vector<std::int64_t>& values, std::int64_t limit) {
    const auto above = std::count_if(values.begin(), values.end(), [&](auto v) { return v > limit; });
    return static_cast<double>(above) / static_cast<double>(values.size());
}

// ---- delays

TEST(DelayDistribution, ConstantIsItsMinimumWhateverTheRest) {
    for (const auto value : drawn({.shape = Shape::Constant, .min = 3ms, .max = 9ms, .mean = 5ms}, 100))
        EXPECT_EQ(value, 3'000'000);
}

TEST(DelayDistribution, UniformFillsItsRangeEvenly) {
    const auto values = drawn({.shape = Shape::Uniform, .min = 2ms, .max = 6ms, .mean = {}}, 20'000);
    EXPECT_GE(*std::min_element(values.begin(), values.end()), 2'000'000);
    EXPECT_LE(*std::max_element(values.begin(), values.end()), 6'000'000);
    EXPECT_NEAR(mean_of(values), 4e6, 3e4);
    EXPECT_NEAR(share_above(values, 5'000'000), 0.25, 0.01);
}

TEST(DelayDistribution, ExponentialHasItsMeanAndItsTail) {
    const auto values = drawn({.shape = Shape::Exponential, .min = 1ms, .max = 10s, .mean = 5ms}, 50'000);
    EXPECT_GE(*std::min_element(values.begin(), values.end()), 1'000'000);
    EXPECT_NEAR(mean_of(values), 6e6, 1e5);
    EXPECT_NEAR(share_above(values, 1'000'000 + 5'000'000), 0.3679, 0.01);
    EXPECT_NEAR(share_above(values, 1'000'000 + 15'000'000), 0.0498, 0.005);
}

TEST(DelayDistribution, ParetoHasATailHeavierThanAnExponentials) {
    const auto values = drawn({.shape = Shape::Pareto, .min = 1ms, .max = 1h, .mean = 5ms}, 50'000);
    EXPECT_GE(*std::min_element(values.begin(), values.end()), 1'000'000);
    // Lomax with alpha 1.5 and scale 2.5 ms: P(X > x) = (1 + x / 2.5 ms)^-1.5.
    EXPECT_NEAR(share_above(values, 1'000'000 + 2'500'000), 0.3536, 0.01);
    EXPECT_NEAR(share_above(values, 1'000'000 + 100'000'000), 0.00381, 0.001);
}

TEST(DelayDistribution, TailsAreCutOffAtTheMaximum) {
    for (const Shape shape : {Shape::Exponential, Shape::Pareto}) {
        const auto values = drawn({.shape = shape, .min = 1ms, .max = 8ms, .mean = 5ms}, 10'000);
        EXPECT_EQ(*std::max_element(values.begin(), values.end()), 8'000'000);
        EXPECT_GT(share_above(values, 7'999'999), 0.05);
    }
}

TEST(DelayDistribution, AMaximumBelowTheMinimumIsTheMinimum) {
    for (const Shape shape : {Shape::Uniform, Shape::Exponential, Shape::Pareto})
        for (const auto value : drawn({.shape = shape, .min = 4ms, .max = 1ms, .mean = 5ms}, 10))
            EXPECT_EQ(value, 4'000'000);
}

TEST(DelayDistribution, TheNumbersAreTheSameOnEveryCompiler) {
    const auto first = [](Shape shape) {
        return drawn({.shape = shape, .min = 1ms, .max = 1h, .mean = 5ms}, 3);
    };
    EXPECT_EQ(first(Shape::Uniform),
              (std::vector<std::int64_t>{3060646886173, 1218682354326, 2008821337306}));
    EXPECT_EQ(first(Shape::Exponential), (std::vector<std::int64_t>{10905488, 14659291, 7283489}));
    EXPECT_EQ(first(Shape::Pareto), (std::vector<std::int64_t>{1669345, 4358621, 1308980}));
}

// ---- which fault holds where

TEST(FaultyLinks, LoseWhatIsCutAndNothingElse) {
    FaultyLinks links;
    Random random(1);
    links.cut(std::array{a}, std::array{b});
    EXPECT_TRUE(links.decide(data(a, b), {}, random).lost);
    EXPECT_TRUE(links.decide(data(b, a), {}, random).lost);
    EXPECT_FALSE(links.decide(data(a, c), {}, random).lost);
    EXPECT_FALSE(links.is_open(a, b));
    EXPECT_TRUE(links.is_open(a, c));
    links.join(std::array{a}, std::array{b});
    EXPECT_FALSE(links.decide(data(a, b), {}, random).lost);
    EXPECT_TRUE(links.is_healthy());
}

TEST(FaultyLinks, AOneWayCutLeavesTheOtherWayOpen) {
    FaultyLinks links;
    links.cut_one_way(std::array{a}, std::array{b, c});
    EXPECT_FALSE(links.is_open(a, b));
    EXPECT_FALSE(links.is_open(a, c));
    EXPECT_TRUE(links.is_open(b, a));
    EXPECT_TRUE(links.is_open(c, a));
}

TEST(FaultyLinks, CutsThatOverlapAreTakenBackOneByOne) {
    FaultyLinks links;
    links.cut(std::array{a}, std::array{b, c});
    links.cut(std::array{a, c}, std::array{b});
    links.join(std::array{a}, std::array{b, c});
    EXPECT_FALSE(links.is_open(a, b)) << "the second cut holds it";
    EXPECT_TRUE(links.is_open(a, c));
    links.join(std::array{a, c}, std::array{b});
    EXPECT_TRUE(links.is_open(a, b));
}

TEST(FaultyLinks, ACutStaysWhenThePairsOtherFaultsAreCleared) {
    FaultyLinks links;
    links.set(a, b, {.loss = 0.5});
    links.cut(std::array{a}, std::array{b});
    links.clear(a, b);
    EXPECT_FALSE(links.is_open(a, b));
    EXPECT_EQ(links.get(a, b).loss, 0.0);
}

TEST(FaultyLinks, InsideOneMachineNothingGoesWrong) {
    FaultyLinks links({.delay = {.min = 1s, .max = 1s}, .loss = 1.0, .reset = 1.0, .corruption = 1.0});
    links.cut(std::array{a, b}, std::array{a, b});
    Random random(1);
    const Fate fate = links.decide(data(a, a), {}, random);
    EXPECT_FALSE(fate.lost);
    EXPECT_FALSE(fate.reset);
    EXPECT_LT(fate.delay, 1ms);
    std::array<std::byte, 4> bytes{};
    links.corrupt(data(a, a), bytes, random);
    EXPECT_EQ(bytes, (std::array<std::byte, 4>{}));
}

TEST(FaultyLinks, IngressBefallsWhatEverybodySendsThereAndEgressWhatComesFromThere) {
    FaultyLinks links;
    links.set_ingress(b, LinkFaults{.loss = 0.8});
    EXPECT_EQ(links.get(a, b).loss, 0.8);
    EXPECT_EQ(links.get(c, b).loss, 0.8);
    EXPECT_EQ(links.get(b, a).loss, 0.0);
    links.set_egress(b, LinkFaults{.loss = 0.3});
    EXPECT_EQ(links.get(b, a).loss, 0.3);
    links.set_ingress(b, std::nullopt);
    links.set_egress(b, std::nullopt);
    EXPECT_TRUE(links.is_healthy());
    EXPECT_EQ(links.get(a, b), LinkFaults{});
}

TEST(FaultyLinks, OfSeveralFaultsTheWorseHoldsInEachRespect) {
    const LinkFaults slow{.delay = {.min = 50ms, .max = 50ms}, .bytes_per_second = 1'000'000, .loss = 0.1};
    const LinkFaults narrow{.bytes_per_second = 1'000, .loss = 0.7, .corruption = 0.2};
    FaultyLinks links;
    links.set(a, b, slow);
    links.set_ingress(b, narrow);
    const LinkFaults both = links.get(a, b);
    EXPECT_EQ(both.delay.min, 50ms);
    EXPECT_EQ(both.bytes_per_second, 1'000u);
    EXPECT_EQ(both.loss, 0.7);
    EXPECT_EQ(both.corruption, 0.2);
}

TEST(FaultyLinks, HealTakesBackEverythingButTheUsual) {
    FaultyLinks links({.delay = {.min = 7ms, .max = 7ms}});
    links.set(a, b, {.loss = 1.0});
    links.set_ingress(c, LinkFaults{.loss = 1.0});
    links.set_egress(c, LinkFaults{.loss = 1.0});
    links.cut(std::array{a}, std::array{c});
    EXPECT_FALSE(links.is_healthy());
    links.heal();
    EXPECT_TRUE(links.is_healthy());
    for (const auto& [from, to] : {std::pair(a, b), std::pair(a, c), std::pair(c, a)})
        EXPECT_EQ(links.get(from, to), links.usual());
    EXPECT_EQ(links.get(a, b).delay.min, 7ms);
}

TEST(FaultyLinks, TellWhoseLinksAreTroubled) {
    FaultyLinks links;
    std::vector<HostId> told;
    links.on_fault([&](HostId host) { told.push_back(host); });
    links.cut_one_way(std::array{a}, std::array{b});
    links.set_ingress(c, LinkFaults{.loss = 0.5});
    EXPECT_EQ(told, (std::vector{a, b, c}));
    links.heal();
    links.set_ingress(c, std::nullopt);
    EXPECT_EQ(told.size(), 3u);
}

// ---- what a fault does

TEST(FaultyLinks, LossIsItsShareOfAttempts) {
    FaultyLinks links;
    links.set_ingress(b, LinkFaults{.loss = 0.8});
    Random random(3);
    int lost = 0;
    for (int i = 0; i < 10'000; ++i) lost += links.decide(data(a, b), {}, random).lost ? 1 : 0;
    EXPECT_NEAR(lost, 8'000, 150);
}

TEST(FaultyLinks, ANarrowLinkSendsOneSegmentAfterTheOther) {
    FaultyLinks links({.bytes_per_second = 1'000'000});
    Random random(1);
    const Instant now(1s);
    EXPECT_EQ(links.decide(data(a, b, 10'000), now, random).delay, 100us + 10ms);
    EXPECT_EQ(links.decide(data(a, b, 10'000), now, random).delay, 100us + 20ms);
    EXPECT_EQ(links.decide(data(b, a, 10'000), now, random).delay, 100us + 10ms)
        << "the other direction is free";
    EXPECT_EQ(links.decide(data(a, b, 10'000), now + 1s, random).delay, 100us + 10ms);
}

TEST(FaultyLinks, CorruptionChangesOneToFourBytes) {
    FaultyLinks links({.corruption = 0.5});
    Random random(5);
    int spoiled = 0;
    for (int i = 0; i < 2'000; ++i) {
        std::array<std::byte, 64> bytes{};
        links.corrupt(data(a, b, bytes.size()), bytes, random);
        const auto changed =
            std::count_if(bytes.begin(), bytes.end(), [](std::byte v) { return v != std::byte{}; });
        EXPECT_LE(changed, 4);
        spoiled += changed > 0 ? 1 : 0;
    }
    EXPECT_NEAR(spoiled, 1'000, 100);
}

/// Two nodes on faulty links, with a connection between them.
struct Line {
    std::shared_ptr<sim::FaultyLinks> links = std::make_shared<sim::FaultyLinks>();
    Network network{NetworkOptions{.seed = 11, .links = links}};
    Node one{network, "one"}, two{network, "two"};
    Pair pair = connect(network, one, two);
};

TEST(FaultyLinks, AResetBreaksTheConnectionInTheMiddleOfWhatIsSent) {
    Line line;
    line.links->set(line.one.host, line.two.host, {.reset = 1.0});
    std::string received;
    Errc at_reader{}, at_writer{};
    const auto read = [&]() -> Task<void> {
        for (;;) {
            auto slice = co_await line.pair.server->receive();
            if (!slice) {
                at_reader = slice.error().code;
                co_return;
            }
            received += slice->text();
        }
    };
    const auto write = [&]() -> Task<void> {
        auto sent = co_await send_text(*line.pair.client, std::string(10'000, 'x'));
        EXPECT_TRUE(sent.has_value()) << "the kernel took it";
        at_writer = co_await receive_end(*line.pair.client);
    };
    line.two.spawn(read());
    line.one.spawn(write());
    ASSERT_TRUE(
        line.network.run_until([&] { return line.one.done() && line.two.done(); }, line.network.now() + 10s));
    EXPECT_EQ(at_reader, Errc::reset);
    EXPECT_EQ(at_writer, Errc::reset);
    EXPECT_GT(received.size(), 0u);
    EXPECT_LT(received.size(), 10'000u);
}

TEST(FaultyLinks, LossCostsTimeButNoBytes) {
    Line line;
    line.links->set_usual({.loss = 0.5});
    const std::string text(300'000, 'y');
    std::string received;
    const auto read = [&]() -> Task<void> {
        received = co_await receive_text(*line.pair.server, text.size());
    };
    const auto write = [&]() -> Task<void> {
        auto sent = co_await send_text(*line.pair.client, text);
        EXPECT_TRUE(sent.has_value());
    };
    line.two.spawn(read());
    line.one.spawn(write());
    const Instant began = line.network.now();
    ASSERT_TRUE(line.network.run_until([&] { return line.one.done() && line.two.done(); }, began + 600s));
    EXPECT_EQ(received, text);
    EXPECT_GE(line.network.now() - began, 200ms) << "one repetition at least";
}

TEST(FaultyLinks, AOneWayCutTimesOutTheSenderOnly) {
    Line line;
    line.links->cut_one_way(std::array{line.one.host}, std::array{line.two.host});
    Errc at_one{};
    bool two_ended = false;
    const auto wait_one = [&]() -> Task<void> {
        auto sent = co_await send_text(*line.pair.client, "hello");
        EXPECT_TRUE(sent.has_value());
        at_one = co_await receive_end(*line.pair.client);
    };
    const auto wait_two = [&]() -> Task<void> {
        auto slice = co_await line.pair.server->receive();
        two_ended = true;
    };
    line.one.spawn(wait_one());
    line.two.spawn(wait_two());
    line.network.run_for(2000s);
    EXPECT_EQ(at_one, Errc::timed_out);
    EXPECT_FALSE(two_ended) << "it sends nothing and hears nothing: half open";
}

// ---- clocks

TEST(SimClock, LateTimersAreLateByUpToTheirLimit) {
    Network network;
    Node node(network, "late");
    node.runtime->set_clock({.lateness_max = 50ms});
    std::vector<Duration> late;
    const auto sleep = [&]() -> Task<void> {
        for (int i = 0; i < 200; ++i) {
            const Instant due = node.runtime->monotonic_now() + 100ms;
            auto slept = co_await node.runtime->sleep_until(due);
            if (!slept) co_return;
            late.push_back(node.runtime->monotonic_now() - due);
        }
    };
    node.spawn(sleep());
    ASSERT_TRUE(network.run_until_idle(network.now() + 60s));
    ASSERT_EQ(late.size(), 200u);
    EXPECT_GE(*std::min_element(late.begin(), late.end()), 0ns);
    EXPECT_LE(*std::max_element(late.begin(), late.end()), 50ms);
    EXPECT_GT(*std::max_element(late.begin(), late.end()), 40ms);
}

} // namespace
} // namespace muster::sim::test
