package text

// missingTexts are the texts that stand for missing values, those of pandas and
// a few more.
var missingTexts = map[string]bool{
	"": true, "NA": true, "N/A": true, "n/a": true, "na": true, "#N/A": true, "#N/A N/A": true, "#NA": true, "<NA>": true,
	"NaN": true, "nan": true, "NAN": true, "-NaN": true, "-nan": true, "1.#QNAN": true, "-1.#QNAN": true, "1.#IND": true, "-1.#IND": true,
	"null": true, "NULL": true, "Null": true, "#NULL!": true, "None": true, "none": true, "NaT": true, "nil": true,
	"?": true, "-": true, "--": true, ".": true, "missing": true, "Missing": true,
}

// IsMissing reports whether a text stands for a missing value.
func IsMissing(text string) bool { return len(text) <= 8 && missingTexts[text] }
