// SPDX-License-Identifier: Apache-2.0
// A node that has no descriptors left keeps what it has, takes in nobody, and says so.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.hpp"

namespace muster::test {
namespace {

using namespace std::chrono_literals;

/// As long as it lives this process can open nothing.
class NoDescriptors {
public:
    NoDescriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int highest = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        fillers_.push_back(highest);
        const rlimit tight{static_cast<rlim_t>(highest) + 64, before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &tight);
        for (int filler = ::dup(highest); filler >= 0; filler = ::dup(highest)) fillers_.push_back(filler);
    }
    ~NoDescriptors() {
        for (const int filler : fillers_) ::close(filler);
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;

private:
    rlimit before_{};
    std::vector<int> fillers_;
};

/// A client that can connect without opening anything.
class BareClient {
public:
    BareClient() : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
    ~BareClient() { ::close(descriptor_); }
    BareClient(const BareClient&) = delete;
    BareClient& operator=(const BareClient&) = delete;
    bool connect(std::uint16_t port) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
    }

private:
    int descriptor_;
};

using Shortage = TransportTest;
INSTANTIATE_TEST_SUITE_P(On, Shortage, testing::ValuesIn(real_backends()), backend_name);

} // namespace

TEST_P(Shortage, OfDescriptorsLeavesLinksAloneAndEndsByItself) {
    auto a = node();
    auto b = node();
    auto stranger = node();
    a->transport->tell(b->address(), Told{}.tell());
    ASSERT_TRUE(run_until([&] { return b->sink->count() == 1; }));
    std::vector<BareClient> waiting(3);
    {
        const NoDescriptors none;
        for (BareClient& client : waiting)
            ASSERT_TRUE(client.connect(*b->address().port)) << "into the backlog";
        ASSERT_TRUE(run_until([&] { return metric("transport.accepts.failed") >= 2; }));
        EXPECT_EQ(logged("transport.accept.failed"), 1U) << "said once, not at each attempt";
        a->transport->tell(b->address(), Told{}.tell());
        EXPECT_TRUE(run_until([&] { return b->sink->count() == 2; })) << "a link that is open stays";
        a->transport->tell(stranger->address(), Told{}.tell());
        EXPECT_TRUE(run_until([&] { return metric("transport.connects.failed") >= 1; }));
        EXPECT_TRUE(a->handler.refused.empty()) << "this node's own lack says nothing about the other";
        EXPECT_EQ(a->handler.count(LinkEvent::EndedWithoutGoodbye) +
                      b->handler.count(LinkEvent::EndedWithoutGoodbye),
                  0U);
    }
    EXPECT_TRUE(run_until([&] { return logged("transport.accept.recovered") == 1; }));
    EXPECT_TRUE(run_until([&] { return metric("net.accept.opened") >= 4; })) << "who waited is taken in";
    EXPECT_TRUE(run_until([&] { return stranger->sink->count() == 1; })) << "and the dial is repeated";
    stop(*a);
    stop(*b);
    stop(*stranger);
}

} // namespace muster::test
