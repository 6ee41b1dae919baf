// Package spelling finds the word that a wrong one was probably meant to be.
package spelling

// longest is how long a word may be, in bytes: the comparison takes their square.
const longest = 64

// Nearest is the first of the words that most of the typed letters fit; a third of them may
// be wrong, and three at most. It is empty if none is near. Capitals are other letters.
func Nearest(typed string, words []string) string {
	nearest, least := "", min(3, (len(typed)+5)/3)
	if len(typed) > longest {
		return ""
	}
	for _, word := range words {
		if d := distance(word, typed); d < least {
			nearest, least = word, d
		}
	}
	return nearest
}

// distance is how many letters are to be changed, added or left out to make b of a
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
