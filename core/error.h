#pragma once
// One family of errors and one check().
//
//   check<ShapeError>(x.rank() == 4, "conv2d: input must be [N,H,W,C], got ", x.shape());
//
// The message reads "op: what was found, what is allowed (values); hint: remedy". The library never prints,
// exits or aborts: it throws, and the application maps the class to an exit code (ErrorKind).

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace tern {

// The exit code of the command line for each class of error.
enum class ErrorKind : int {
  Usage = 2,         // a wrong argument, option or call
  Data = 3,          // unusable input data: a corrupt photo, a folder of one person
  Io = 4,            // the operating system refused a file operation
  Memory = 5,        // more memory was asked for than there is
  Numeric = 6,       // a loss or gradient stopped being finite
  Incompatible = 7,  // a file that does not fit: damaged, or of another model or version
  Device = 8,        // a device that is missing or failed
  Internal = 70      // a bug in tern
};

class Error : public std::runtime_error {
 public:
  // The text gets the current module path appended ("; in encoder.block1.conv1") when inside one.
  Error(ErrorKind kind, const std::string& text);
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

template <ErrorKind kKind>
struct ErrorOf : Error {
  explicit ErrorOf(const std::string& text) : Error(kKind, text) {}
};

struct UsageError : ErrorOf<ErrorKind::Usage> {
  using ErrorOf::ErrorOf;
};
struct ShapeError : ErrorOf<ErrorKind::Usage> {
  using ErrorOf::ErrorOf;
};
struct DTypeError : ErrorOf<ErrorKind::Usage> {
  using ErrorOf::ErrorOf;
};
struct DataError : ErrorOf<ErrorKind::Data> {
  using ErrorOf::ErrorOf;
};
struct IoError : ErrorOf<ErrorKind::Io> {
  using ErrorOf::ErrorOf;
};
struct MemoryError : ErrorOf<ErrorKind::Memory> {
  using ErrorOf::ErrorOf;
};
struct NumericError : ErrorOf<ErrorKind::Numeric> {
  using ErrorOf::ErrorOf;
};
struct IncompatibleError : ErrorOf<ErrorKind::Incompatible> {
  using ErrorOf::ErrorOf;
};
struct DeviceError : ErrorOf<ErrorKind::Device> {
  using ErrorOf::ErrorOf;
};
struct InternalError : ErrorOf<ErrorKind::Internal> {
  using ErrorOf::ErrorOf;
};

// Names the module whose forward runs, for error texts. Nested scopes join with dots; name must outlive the
// scope.
class ErrorScope {
 public:
  explicit ErrorScope(std::string_view name);
  ~ErrorScope();
  ErrorScope(const ErrorScope&) = delete;
  ErrorScope& operator=(const ErrorScope&) = delete;
  static std::string path();  // "encoder.block1.conv1", empty outside modules
};

// Text from a file or a command line, made safe to print: control and non-ASCII-printable bytes become \xNN.
std::string escaped(std::string_view text);

namespace detail {
void append_part(std::string& text, std::string_view part);
void append_part(std::string& text, const char* part);
void append_part(std::string& text, bool part);
void append_part(std::string& text, int64_t part);
void append_part(std::string& text, uint64_t part);
void append_part(std::string& text, double part);

// Integers widen to 64 bits; everything with a to_string() found by argument-dependent lookup prints through
// it.
template <class T>
void append_any(std::string& text, const T& part) {
  if constexpr (std::is_same_v<T, bool>) {
    append_part(text, part);
  } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
    append_part(text, static_cast<int64_t>(part));
  } else if constexpr (std::is_integral_v<T>) {
    append_part(text, static_cast<uint64_t>(part));
  } else if constexpr (std::is_floating_point_v<T>) {
    append_part(text, static_cast<double>(part));
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    append_part(text, std::string_view(part));
  } else {
    append_part(text, std::string_view(to_string(part)));
  }
}

template <class E, class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void fail(const Parts&... parts) {
  std::string text;
  (append_any(text, parts), ...);
  throw E(text);
}
}  // namespace detail

// Throws E with the concatenated parts when cond is false. Parts: text, numbers, or anything with
// to_string().
template <class E = UsageError, class... Parts>
inline void check(bool cond, const Parts&... parts) {
  if (!cond) [[unlikely]]
    detail::fail<E>(parts...);
}

// Concatenates parts the way check() does.
template <class... Parts>
std::string concat_text(const Parts&... parts) {
  std::string text;
  (detail::append_any(text, parts), ...);
  return text;
}

}  // namespace tern
