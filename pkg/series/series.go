// Package series keeps the recent samples of every signal in bounded rings and answers the window
// functions of the rule language over them. It is pure: time comes from the caller, one goroutine
// owns a Store, and neither Set nor a window function allocates.
package series
