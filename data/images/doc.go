// Package images reads and draws pictures: MNIST and the Cartoon Set, folders
// of PNG files, and stand-ins that the program draws on machines without these
// sets. A batch has one picture to a row: grey values in [0, 1], or a plane of
// such values for each of red, green and blue.
package images
