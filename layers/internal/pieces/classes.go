package pieces

// Divided divides a number of pieces among the classes with the listed rows: one for each,
// and the rest one by one to the class with most rows for a piece.
func Divided(pieces int, members [][]int) []int {
	share := make([]int, len(members))
	for k := range share {
		share[k] = 1
	}
	for range pieces - len(members) {
		most := 0
		for k, rows := range members {
			if len(rows)*share[most] > len(members[most])*share[k] {
				most = k
			}
		}
		share[most]++
	}
	return share
}
