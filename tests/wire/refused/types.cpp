// SPDX-License-Identifier: Apache-2.0
// What must not compile, and with which words. tests/wire/refused/run compiles this file once per case, with
// -DCASE=name, and looks for the text behind `expect:` among the compiler's errors. CASE=none compiles.
#define CASE_none 1
#define CASE_raw_pointer 2
#define CASE_register_type 3
#define CASE_get_helper 4
#define CASE_wide_character 5
#define CASE_utf16_character 6
#define CASE_wide_string 7
#define CASE_long_double 8
#define CASE_polymorphic_base_object 9
#define CASE_track_always 10
#define CASE_const_member 11
#define CASE_no_serialize 12
#define CASE_string_view 13
#define CASE_bit_field 14
#define CASE_polymorphic_pointer 15
#define CASE_array_pointer 16
#define CASE_custom_deleter 17
#define CASE_weak_pointer 18
#define CASE_bitset 19
#define CASE_sparse_enum 20
#define CASE_unfixed_enum 21
#define JOIN(a, b) a##b
#define VALUE_OF(name) JOIN(CASE_, name)
#define IS(name) (VALUE_OF(CASE) == CASE_##name)

// Boost's headers come first: what is refused must not depend on the order.
#include <boost/serialization/base_object.hpp>
#include <boost/serialization/tracking.hpp>
#include <muster/wire/archive.hpp>

namespace wire = muster::wire;

struct Polymorphic {
    virtual ~Polymorphic() = default;
    template <class Archive>
    void serialize(Archive&, unsigned) {}
};
struct Pod {
    int value = 0;
    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value;
    }
};
struct Tracked : Pod {};
#if IS(track_always)
BOOST_CLASS_TRACKING(Tracked, boost::serialization::track_always)
#endif
struct Deleter {
    void operator()(int* p) const { delete p; }
};
enum class Sparse { One = 1, Five = 5 };
enum Unfixed { unfixed_zero, unfixed_one };

struct Subject : Polymorphic {
    int value = 0;
#if IS(raw_pointer) // expect: a raw pointer means nothing on another machine
    int* field = nullptr;
#elif IS(wide_character)      // expect: wchar_t and char16_t differ between platforms
    wchar_t field = 0;
#elif IS(utf16_character)     // expect: wchar_t and char16_t differ between platforms
    char16_t field = 0;
#elif IS(wide_string)         // expect: wide strings differ between platforms
    std::wstring field;
#elif IS(long_double)         // expect: long double differs between platforms
    long double field = 0;
#elif IS(track_always)        // expect: this class asks for object tracking (track_always)
    Tracked field;
#elif IS(const_member)        // expect: a const object cannot be loaded into
    const int field = 0;
#elif IS(no_serialize)        // expect: this class has no serialize()
    struct Plain {
        int value = 0;
    } field;
#elif IS(string_view)         // expect: a string_view owns nothing
    std::string_view field;
#elif IS(bit_field)           // expect: bit-field
    unsigned field : 3 = 0;
#elif IS(polymorphic_pointer) // expect: a pointer to a polymorphic class may point to any derived class
    std::unique_ptr<Polymorphic> field;
#elif IS(array_pointer)       // expect: a pointer to an array does not know its length
    std::unique_ptr<int[]> field;
#elif IS(custom_deleter)      // expect: a unique_ptr with a deleter of its own cannot be loaded
    std::unique_ptr<int, Deleter> field;
#elif IS(weak_pointer)        // expect: a weak_ptr refers to an object that the bytes do not contain
    std::weak_ptr<int> field;
#elif IS(bitset)              // expect: std::bitset has no bincode form
    std::bitset<8> field;
#elif IS(sparse_enum)         // expect: the enumerators of this enum are not 0, 1, 2, ..
    Sparse field{};
#elif IS(unfixed_enum)        // expect: the enumerators of this enum are not 0, 1, 2, ..
    Unfixed field{};
#else
    int field = 0;
#endif

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
#if IS(polymorphic_base_object) // expect: base_object of a polymorphic base is not available
        ar& boost::serialization::base_object<Polymorphic>(*this);
#elif IS(register_type) // expect: register_type is for polymorphic pointers
        ar.template register_type<Polymorphic>();
#elif IS(get_helper)    // expect: archive helpers (get_helper) are not available
        ar.template get_helper<Pod>(nullptr);
#endif
        ar& value& field;
    }
};

int main() {
    Subject subject;
    const auto bytes = wire::encode(subject);
    return wire::decode<Subject>(bytes->bytes()).has_value() ? 0 : 1;
}
