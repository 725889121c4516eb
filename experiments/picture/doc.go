// Package picture holds what the experiments on pictures share: the model of digits, the
// judge that compares them, and the classifier in whose features they are compared.
package picture
