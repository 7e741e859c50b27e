// SPDX-License-Identifier: Apache-2.0
#include <muster/buffer.hpp>

#include <array>
#include <gtest/gtest.h>
#include <string>

namespace {

using muster::Buffer;
using muster::ChunkPool;
using muster::Slice;

struct Storage {
    std::array<std::byte, 8> bytes{};
};

/// Tells when its last reference went.
class ProbeBuffer final : private Storage, public Buffer {
public:
    explicit ProbeBuffer(int& recycled) : Buffer(bytes.data(), bytes.size()), recycled_(recycled) {}
    void again() { revive(); }

private:
    void recycle() noexcept override { ++recycled_; }
    int& recycled_;
};

std::span<const std::byte> bytes_of(Buffer& buffer) { return {buffer.data(), buffer.size()}; }

TEST(Buffer, RecyclesOnceWithItsLastReference) {
    int recycled = 0;
    ProbeBuffer buffer{recycled};
    buffer.retain();
    EXPECT_EQ(buffer.references(), 2U);
    buffer.release();
    EXPECT_EQ(recycled, 0);
    buffer.release();
    EXPECT_EQ(recycled, 1);
    buffer.again();
    EXPECT_EQ(buffer.references(), 1U);
    buffer.release();
    EXPECT_EQ(recycled, 2);
}

TEST(Buffer, AllocateGivesWritableBytesAndTheFirstReference) {
    Buffer* buffer = Buffer::allocate(100'000);
    EXPECT_EQ(buffer->size(), 100'000U);
    EXPECT_EQ(buffer->references(), 1U);
    std::memset(buffer->data(), 0xab, buffer->size());
    EXPECT_EQ(buffer->data()[99'999], std::byte{0xab});
    buffer->release();
    Buffer::allocate(0)->release();
}

TEST(Slice, CopiesShareTheBufferAndLetItGoTogether) {
    int recycled = 0;
    ProbeBuffer buffer{recycled};
    {
        const Slice whole = Slice::adopt(&buffer, bytes_of(buffer));
        EXPECT_EQ(buffer.references(), 1U) << "adopt takes over the first reference";
        Slice copy = whole;
        const Slice part = whole.sub(2, 3);
        EXPECT_EQ(buffer.references(), 3U);
        EXPECT_EQ(part.data(), buffer.data() + 2);
        EXPECT_EQ(part.size(), 3U);
        const Slice moved = std::move(copy);
        EXPECT_EQ(buffer.references(), 3U) << "a move adds no reference";
        EXPECT_TRUE(copy.empty());
        EXPECT_EQ(recycled, 0);
    }
    EXPECT_EQ(recycled, 1);
}

TEST(Slice, SharingConstructorAddsAReference) {
    int recycled = 0;
    ProbeBuffer buffer{recycled};
    {
        const Slice slice{bytes_of(buffer), &buffer};
        EXPECT_EQ(buffer.references(), 2U);
    }
    EXPECT_EQ(buffer.references(), 1U);
    EXPECT_EQ(recycled, 0);
}

TEST(Slice, AssignmentReleasesTheOldBufferEvenToItself) {
    int first_recycled = 0;
    int second_recycled = 0;
    ProbeBuffer first{first_recycled};
    ProbeBuffer second{second_recycled};
    Slice slice = Slice::adopt(&first, bytes_of(first));
    slice = Slice::adopt(&second, bytes_of(second));
    EXPECT_EQ(first_recycled, 1);
    const Slice& same = slice;
    slice = same;
    EXPECT_EQ(second_recycled, 0);
    EXPECT_EQ(slice.data(), second.data());
    slice = Slice{};
    EXPECT_EQ(second_recycled, 1);
}

TEST(Slice, BorrowedBytesAreNotOwnedAndACopyOfThemIs) {
    std::string text = "tell";
    const Slice borrowed{std::as_bytes(std::span{text})};
    EXPECT_FALSE(borrowed.owned());
    const Slice copy = Slice::copy_of(text);
    text = "gone";
    EXPECT_TRUE(copy.owned());
    EXPECT_EQ(copy.text(), "tell");
    EXPECT_EQ(borrowed.text(), "gone");
}

TEST(Slice, EmptyIsOwnedAndEqualWhereverItPoints) {
    EXPECT_TRUE(Slice{}.owned());
    EXPECT_TRUE(Slice::copy_of(std::string_view{}).owned());
    EXPECT_EQ(Slice{}, Slice::copy_of("x").sub(1, 0));
}

TEST(Slice, EqualityIsByBytes) {
    EXPECT_EQ(Slice::copy_of("same"), Slice::copy_of("same"));
    EXPECT_FALSE(Slice::copy_of("same") == Slice::copy_of("some"));
    EXPECT_FALSE(Slice::copy_of("same") == Slice::copy_of("sam"));
}

TEST(Slice, RemovePrefixMovesTheViewOnly) {
    Slice slice = Slice::copy_of("header:body");
    slice.remove_prefix(7);
    EXPECT_EQ(slice.text(), "body");
    EXPECT_EQ(slice.owner()->references(), 1U);
}

TEST(ChunkPool, HandsTheSameMemoryOutAgainAfterItsLastReference) {
    const auto pool = ChunkPool::create(512, 4);
    EXPECT_EQ(pool->chunk_bytes(), 512U);
    Buffer* chunk = pool->take();
    EXPECT_EQ(chunk->size(), 512U);
    EXPECT_EQ(pool->in_use(), 1U);
    chunk->retain();
    chunk->release();
    EXPECT_EQ(pool->in_use(), 1U);
    chunk->release();
    EXPECT_EQ(pool->in_use(), 0U);
    Buffer* again = pool->take();
    EXPECT_EQ(again, chunk);
    EXPECT_EQ(again->references(), 1U);
    again->release();
}

TEST(ChunkPool, NeverHandsOutAChunkThatIsStillReferenced) {
    const auto pool = ChunkPool::create(64, 4);
    Buffer* first = pool->take();
    Buffer* second = pool->take();
    EXPECT_NE(first, second);
    EXPECT_EQ(pool->in_use(), 2U);
    first->release();
    second->release();
}

TEST(ChunkPool, KeepsAtMostItsCacheAndFreesTheRest) {
    const auto pool = ChunkPool::create(64, 1);
    std::array<Buffer*, 3> chunks{pool->take(), pool->take(), pool->take()};
    for (Buffer* chunk : chunks) chunk->release(); // what is not kept is freed: the leak checker looks
    EXPECT_EQ(pool->in_use(), 0U);
    Buffer* cached = pool->take();
    EXPECT_EQ(cached, chunks[0]);
    cached->release();
}

TEST(ChunkPool, ItsChunksOutliveTheOwnersPointerToIt) {
    auto pool = ChunkPool::create(64, 4);
    const std::weak_ptr<ChunkPool> watched = pool;
    Slice slice = Slice::adopt(pool->take(), {});
    pool.reset();
    EXPECT_FALSE(watched.expired());
    std::memset(slice.owner()->data(), 1, slice.owner()->size());
    slice = Slice{};
    EXPECT_TRUE(watched.expired()) << "a free chunk must not hold the pool that holds it";
}

} // namespace
