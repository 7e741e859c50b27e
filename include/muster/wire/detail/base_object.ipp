#pragma once
/// base_object of a polymorphic base is refused when it is compiled. Included by archive.hpp before any header of
/// Boost.Serialization: base_object.hpp calls void_cast_register, and finds only what was declared before it.
#include <boost/serialization/void_cast_fwd.hpp>
#include <type_traits>

namespace muster::wire::detail {
template <class T, class = void>
inline constexpr bool is_complete = false;
template <class T>
inline constexpr bool is_complete<T, std::void_t<decltype(sizeof(T))>> = true;
template <class, class T>
struct Dependent {
    using type = T;
};
} // namespace muster::wire::detail

namespace boost::serialization {
/// base_object<Base>(*this) of a polymorphic Base registers a cast at run time, which needs the compiled
/// Boost.Serialization library: without it the program would not link, and would not say why. Chosen over
/// Boost's own only where void_cast.hpp, which every archive of Boost includes, was not included.
template <class Derived, class Base>
    requires(!muster::wire::detail::is_complete<
             typename muster::wire::detail::Dependent<Derived, void_cast_detail::void_caster>::type>)
inline const void_cast_detail::void_caster& void_cast_register(const Derived*, const Base*) {
    static_assert(!muster::wire::detail::is_complete<Derived>,
                  "muster::wire: base_object of a polymorphic base is not available; write "
                  "ar & static_cast<Base&>(*this)");
    __builtin_unreachable();
}
} // namespace boost::serialization

