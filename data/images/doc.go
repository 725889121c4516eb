// Package images reads and draws pictures: MNIST and the Cartoon Set, folders of PNG
// files, and stand-ins for both sets, drawn by the program, for machines that do not
// have them. A batch of pictures has one to a row, of grey values in [0, 1], or of
// three planes of them.
package images
