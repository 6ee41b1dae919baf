# shellcheck shell=bash
# Writes which programs use which keys into README.md, as the part programs saw it.
# Needs say.sh and versions.sh.

# The columns, in their order: as the tests call the cards.
readonly CARDS='OpenPGP P-256|OpenPGP RSA|PIV P-256|IsoApplet RSA|SoftHSM P-256'

readonly PROGRAMS_MARK='<!-- programs -->'

# write_programs FILE writes the table of the rows "program, card, with what" of a file,
# with tabs between.
write_programs() {
	between README.md "$PROGRAMS_MARK" < <(sort -fu "$1" | awk -F'\t' -v cards="$CARDS" '
		BEGIN {
			n = split(cards, card, "|")
			head = "| program |"; line = "|---|"
			for (i = 1; i <= n; i++) { head = head " " card[i] " |"; line = line "---|" }
			print head; print line
		}
		$1 != last && last != "" { row() }
		{ last = $1; with[$2] = $3 }
		END { row() }
		function row(text) {
			text = "| " last " |"
			for (i = 1; i <= n; i++) text = text " " (card[i] in with ? with[card[i]] : "–") " |"
			print text
			delete with
		}')
}
