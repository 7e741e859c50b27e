/// Links that are broken on purpose: each fault does what it says, alike on every compiler.
#include "scene.hpp"

#include <muster/sim/faults.hpp>

namespace muster::sim::test {
namespace {

TEST(FaultyLinks, LoseWhatIsCutAndNothingElse) {
    FaultyLinks links;
    Random random(1);
    const HostId a{0}, b{1}, c{2};
    links.cut(std::array{a}, std::array{b});
    EXPECT_TRUE(links.decide({.from = a, .to = b}, {}, random).lost);
    EXPECT_TRUE(links.decide({.from = b, .to = a}, {}, random).lost);
    EXPECT_FALSE(links.decide({.from = a, .to = c}, {}, random).lost);
    links.join(std::array{a}, std::array{b});
    EXPECT_FALSE(links.decide({.from = a, .to = b}, {}, random).lost);
}

} // namespace
} // namespace muster::sim::test
