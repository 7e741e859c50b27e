// SPDX-License-Identifier: Apache-2.0
#include "link_driver.hpp"

namespace muster::transport::test {
namespace {

TEST(QuarantineList, ForgetsAtItsTimeAndTheFirstToExpireWhenItIsFull) {
    QuarantineList list;
    const Instant now{1h};
    list.add(node_of(1, 1), now + 10s, false);
    list.add(node_of(1, 2), now + 20s, true);
    EXPECT_EQ(list.find(node_of(1, 1), now), Quarantined::Yes);
    EXPECT_EQ(list.find(node_of(1, 2), now), Quarantined::Harmless);
    EXPECT_EQ(list.find(node_of(1, 3), now), Quarantined::No);
    EXPECT_EQ(list.find(node_of(1, 1), now + 10s), Quarantined::No);
    EXPECT_EQ(list.size(), 1U);
    for (std::size_t i = 1; i < QuarantineList::entries_max; ++i)
        list.add(node_of(2, static_cast<std::int64_t>(i)), now + 1h, false);
    list.add(node_of(3, 1), now + 1h, false);
    EXPECT_EQ(list.size(), QuarantineList::entries_max);
    EXPECT_EQ(list.find(node_of(1, 2), now), Quarantined::No) << "it would have expired first";
    EXPECT_EQ(list.find(node_of(3, 1), now), Quarantined::Yes);
}

} // namespace
} // namespace muster::transport::test
