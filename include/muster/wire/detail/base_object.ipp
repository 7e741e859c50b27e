// SPDX-License-Identifier: Apache-2.0
#pragma once
/// base_object of a polymorphic base is refused at compile time. Included by archive.hpp only.
#include <boost/serialization/base_object.hpp>
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

namespace boost::serialization::detail {
/// base_object<Base>(*this) of a polymorphic Base registers a cast at run time, which needs the compiled
/// Boost.Serialization library: without it the program would not link, and would not say why. A
/// specialisation, so that it does not matter which header the user includes first. It is disabled where
/// Boost's own <boost/serialization/void_cast.hpp> was included, as every archive of Boost does: there the
/// registration is intended.
template <class Base, class Derived>
    requires(std::is_polymorphic_v<Base> &&
             !muster::wire::detail::is_complete<
                 typename muster::wire::detail::Dependent<Derived, void_cast_detail::void_caster>::type>)
struct base_register<Base, Derived> {
    static const void* invoke() {
        static_assert(!muster::wire::detail::is_complete<Derived>,
                      "muster::wire: base_object of a polymorphic base is not available; write "
                      "ar & static_cast<Base&>(*this)");
        return nullptr;
    }
};
} // namespace boost::serialization::detail
