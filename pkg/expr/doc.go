// Package expr is the condition language of the rules: HCL expressions, checked when loaded and
// compiled to closures that are evaluated without allocating.
//
// A condition is three-valued. A signal that is missing, stale or not finite is unknown; unknown
// spreads through arithmetic and comparison, and through && || ! as in SQL: false && unknown is
// false, true || unknown is true. So 1/0 > 3 is unknown, and so is a window that is not filled yet.
//
// Every value has a dimension, and only like is compared with like. Numbers get theirs from the
// constants percent, ms, s, minute, h, KiB, MiB, GiB: 800 * ms, 10 * MiB / s. A bare number may stand
// beside a ratio (if it is not above 1), a count and a rate per second; zero beside everything.
//
// Names are signals, label.NAME (the empty text if it is not set) and threshold.NAME. Functions:
//
//	avg min max stddev(x, "5m")      of the samples in the window; avg of true and false is a share
//	quantile(0.99, x, "5m")
//	sum count last(x, "5m")          of what came within the window; last need not be fresh
//	rate(x, "5m")                    growth of a counter per second, resets taken out
//	change(x, "5m")                  last minus first; of a counter its growth
//	change_ratio(x, "5m")            the same as a share of the first
//	predict(x, "4h")                 value in 4 h on a straight line through the last hour
//	predict_low, predict_high        the edges of where it will be in 95 of 100 cases, if the trend goes on
//	anomaly(x)                       how unusual x is, from 0 to 1, by what has been learned of it
//	absent(x)                        nothing is known of x
//	held(condition, "30s")           true for so long without a break
//	hits(condition, 3, 5)            true at 3 or more of the last 5 samples of its slowest signal
//	between("22:00", "06:00", zone)  time of day; weekday(zone) is Monday to Friday
//
// This is the only package of the module that knows HCL's syntax tree.
package expr
