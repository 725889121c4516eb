// Package figure draws pictures: scatters, curves, heat maps, tiles, animations.
package figure
