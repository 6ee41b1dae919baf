# Draws boxes and arrows as SVG. A line of its input is one of these; fields are
# parted by tabs, and places are in pixels:
#
#   size   WIDTH HEIGHT
#   box    X Y WIDTH HEIGHT KIND  LINE...   KIND is card, cardctl or other
#   arrow  X Y X Y                          straight, with its head at the second place
#   both   X Y X Y                          the same with two heads
#   note   X Y LINE...                      text without a box

BEGIN { FS = "\t" }

/^#/ || NF == 0 { next }

function escaped(s) {
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	gsub(/>/, "\\&gt;", s)
	return s
}

# lines writes the fields from number first on, in the middle of x and y; the
# first one is bold if it is a name.
function lines(x, y, first, class,    i) {
	for (i = first; i <= NF; i++)
		printf "<text class=\"%s\" x=\"%s\" y=\"%s\">%s</text>\n", i == first ? class : "line", x, y + 17 * (i - first) - 8.5 * (NF - first) + 4.5, escaped($i)
}

$1 == "size" {
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n", $2, $3, $2, $3
	printf "<title>%s</title>\n", title
	print "<style>"
	print "text { font-family: Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif; font-size: 13px; text-anchor: middle; fill: #1f2328 }"
	print ".name { font-weight: bold } .note, .line { font-size: 12px }"
	print ".page { fill: #ffffff; stroke: #8c959f } .other { fill: #f6f8fa; stroke: #8c959f } .card { fill: #fff3c4; stroke: #9a6700 } .cardctl { fill: #dafbe1; stroke: #1a7f37 }"
	print ".arrow { stroke: #57606a; fill: #57606a; stroke-width: 1.5 }"
	print "@media (prefers-color-scheme: dark) {"
	print "text { fill: #e6edf3 }"
	print ".page { fill: #161b22; stroke: #6e7681 } .other { fill: #21262d; stroke: #6e7681 } .card { fill: #4b3a00; stroke: #d29922 } .cardctl { fill: #0f3d1e; stroke: #3fb950 }"
	print ".arrow { stroke: #9da7b3; fill: #9da7b3 }"
	print "}"
	print "</style>"
	printf "<rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", $2 - 1, $3 - 1
}

$1 == "box" {
	printf "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\"/>\n", $6, $2, $3, $4, $5
	lines($2 + $4 / 2, $3 + $5 / 2, 7, "name")
}

# head draws the head of an arrow from one place at another.
function head(x1, y1, x2, y2,    far, x, y) {
	far = sqrt((x2 - x1) ^ 2 + (y2 - y1) ^ 2)
	x = (x2 - x1) / far
	y = (y2 - y1) / far
	printf "<path class=\"arrow\" d=\"M%g %g L%g %g L%g %gz\"/>\n", x2 - x, y2 - y, x2 - 8 * x - 3.5 * y, y2 - 8 * y + 3.5 * x, x2 - 8 * x + 3.5 * y, y2 - 8 * y - 3.5 * x
}

$1 == "arrow" || $1 == "both" {
	printf "<path class=\"arrow\" d=\"M%d %d L%d %d\"/>\n", $2, $3, $4, $5
	head($2, $3, $4, $5)
	if ($1 == "both")
		head($4, $5, $2, $3)
}

$1 == "note" { lines($2, $3, 4, "note") }

END { print "</svg>" }
