// Package picture holds what the experiments on pictures share: the model of digits,
// the judge that compares them, the classifier in whose features that is done.
package picture
