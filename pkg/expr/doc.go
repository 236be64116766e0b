// Package expr is the condition language of the rules: HCL expressions, checked when loaded and
// compiled to closures that are evaluated without allocating.
//
// A condition is three-valued. A signal that is missing, stale or not finite is unknown; unknown
// spreads through arithmetic and comparison, and through && || ! as in SQL: false && unknown is
// false, true || unknown is true. So 1/0 > 3 is unknown, and so is a window that is not filled yet.
//
// Every value has a dimension, and only like is compared with like. Numbers get theirs from the
// constants percent, ms, s, minute, h, KiB, MiB, GiB: 800 * ms, 10 * MiB / s.
//
// This is the only package of the module that knows HCL's syntax tree.
package expr
