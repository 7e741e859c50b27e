// SPDX-License-Identifier: Apache-2.0
#include "checks.hpp"

#include <muster/address.hpp>
#include <muster/buffer.hpp>
#include <muster/ensure.hpp>
#include <muster/error.hpp>
#include <muster/hash.hpp>
#include <muster/log.hpp>
#include <muster/metrics.hpp>
#include <muster/runtime.hpp>
#include <muster/time.hpp>
#include <muster/unique_function.hpp>
#include <muster/version.hpp>

namespace {

/// A user's own Buffer: its vtable, typeinfo and destructor come from two libraries.
class UserBuffer final : public muster::Buffer {
public:
    explicit UserBuffer(bool& recycled) : Buffer(nullptr, 0), recycled_(recycled) {}

private:
    void recycle() noexcept override { recycled_ = true; }
    bool& recycled_;
};

/// A user's own sink, called by the library.
class UserSink final : public muster::LogSink {
public:
    void write(const muster::LogRecord& record) noexcept override { code = record.code; }
    std::string_view code;
};

} // namespace

void check_second_unit() {
    check("a user's Buffer is recycled through a Slice", [] {
        bool recycled = false;
        UserBuffer buffer{recycled};
        { const auto slice = muster::Slice::adopt(&buffer, {}); }
        return recycled;
    });
    check("a user's LogSink is written to", [] {
        const auto sink = std::make_shared<UserSink>();
        muster::Logger logger{sink, [] { return muster::WallTime{0}; }};
        logger.warning("user.code", "peer");
        return sink->code == "user.code";
    });
    check("unique addresses compare and hash", [] {
        const muster::UniqueAddress a{muster::Address::remote("akka.tcp", "sys", "HOST", 1), muster::Uid{7}};
        const muster::UniqueAddress b{muster::Address::remote("akka.tcp", "sys", "host", 1), muster::Uid{7}};
        return a == b && std::hash<muster::UniqueAddress>{}(a) == std::hash<muster::UniqueAddress>{}(b) &&
               std::hash<muster::Address>{}(a.address()) == std::hash<muster::Address>{}(b.address());
    });
}
