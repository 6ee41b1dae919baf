# Draws the text of a terminal as SVG: dark in itself, so that it can be read on
# a light page and on a dark one.

BEGIN { row = 20; left = 18; column = 7.83; top = 52 }

function escaped(s) {
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	gsub(/>/, "\\&gt;", s)
	return s
}

{
	class = /^\$ / ? "typed" : /^# / ? "remark" : "printed"
	if ($0 != "")
		text = text sprintf("<text class=\"%s\" x=\"%d\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", class, left, top + row * (NR - 1), escaped($0))
	if (length($0) > longest)
		longest = length($0)
}

END {
	width = int(2 * left + column * longest)
	height = top + row * NR
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n", width, height, width, height
	printf "<title>%s</title>\n", title
	print "<style>"
	print "text { font-family: Menlo, Consolas, DejaVu Sans Mono, Liberation Mono, monospace; font-size: 13px; white-space: pre }"
	print ".typed { fill: #7ee787; font-weight: bold } .printed { fill: #e6edf3 } .remark { fill: #9da7b3 }"
	print "</style>"
	printf "<rect x=\"0.5\" y=\"0.5\" width=\"%d\" height=\"%d\" rx=\"8\" fill=\"#161b22\" stroke=\"#6e7681\"/>\n", width - 1, height - 1
	for (i = 0; i < 3; i++)
		printf "<circle cx=\"%d\" cy=\"20\" r=\"5\" fill=\"#6e7681\"/>\n", left + 5 + 18 * i
	printf "%s</svg>\n", text
}
