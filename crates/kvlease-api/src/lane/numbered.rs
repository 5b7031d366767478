//! Enums whose variants are numbers on the wire, with the words that documents use for them.

/// Makes an enum whose variants have a number and a word, and the way from and to the number.
macro_rules! numbered {
    (
        $(#[$about:meta])*
        $name:ident: $number:ty {
            $($(#[$doc:meta])* $variant:ident = $value:literal $word:literal,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr($number)]
        pub enum $name {
            $($(#[$doc])* $variant = $value,)*
        }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            pub const fn number(self) -> $number {
                self as $number
            }

            /// The one with this number.
            pub const fn from_number(number: $number) -> Option<Self> {
                match number {
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The word for it in documents, metrics and logs.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}
