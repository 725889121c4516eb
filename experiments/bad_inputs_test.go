package experiments

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/internal/inputs"
	"cmf/experiments/internal/plane"
	"cmf/experiments/monge"
	"cmf/experiments/picture/inpaint"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Any error in variables and files is reported before anything is learned. The messages are
// in the table testdata/bad_inputs.md.
func TestBadInputs(t *testing.T) {
	source, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if taken, err := net.Listen("tcp", "127.0.0.1:47811"); err == nil { // else another has it
		defer taken.Close()
	}
	inputs.TestBad(t, filepath.Join(source, "testdata", "bad_inputs.md"), badInputs(t)...)
}

func badInputs(t *testing.T) []inputs.Bad {
	t.Helper()
	return slices.Concat(badSettings(), badArrays(), badTables(), badPictures(t), badDigits(), badArchives(t), badCheckpoints(t), badContexts(t))
}

func bad(command run.Experiment, what, variables string, files map[string][]byte) inputs.Bad {
	return inputs.Bad{Command: command, What: what, Variables: variables, Files: files}
}

func badSettings() []inputs.Bad {
	return []inputs.Bad{
		bad(Gaussian, "a misspelt variable", "STEP=10", nil),
		bad(Gaussian, "an unknown variable", "TEMPERATURE=1", nil),
		bad(Gaussian, "an unknown preset", "PRESET=slow", nil),
		bad(Gaussian, "a word for a number", "STEPS=many", nil),
		bad(Gaussian, "a fraction of steps", "STEPS=1.5", nil),
		bad(Gaussian, "a negative seed", "SEED=-1", nil),
		bad(Gaussian, "a learning rate of 0", "LR=0", nil),
		bad(Gaussian, "a learning rate that is not a number", "LR=NaN", nil),
		bad(Gaussian, "a learning rate without bounds", "LR=1e300", nil),
		bad(Gaussian, "an immense batch", "BATCH=1000000000000", nil),
		bad(Gaussian, "an immense layer", "HIDDEN=64,1000000000", nil),
		bad(Gaussian, "layers of immense products", "HIDDEN=60000,60000", nil),
		bad(Gaussian, "a batch too large for the layers", "HIDDEN=65536 BATCH=100000", nil),
		bad(Gaussian, "an empty width", "HIDDEN=64,,64", nil),
		bad(Gaussian, "no layer", "HIDDEN=", nil),
		bad(Gaussian, "minutes that overflow", "MINUTES=1e12", nil),
		bad(Gaussian, "too many threads", "THREADS=1000000", nil),
		bad(Gaussian, "a port without its colon", "WATCH=8080", nil),
		bad(Gaussian, "a port that does not exist", "WATCH=:80800", nil),
		bad(Gaussian, "an address of another computer", "WATCH=192.0.2.1:8080", nil),
		bad(Gaussian, "a port in use", "WATCH=127.0.0.1:47811", nil),
		bad(Gaussian, "an unknown loss", "LOSS=dul", nil),
		bad(Gaussian, "a factor that is not a number", "LOSS=dual+x*pairs", nil),
		bad(Gaussian, "a negative factor", "LOSS=dual+-1*pairs", nil),
		bad(Gaussian, "a term twice", "LOSS=dual+dual", nil),
		bad(Gaussian, "a term of energies for samples", "LOSS=monge-ampere", nil),
		bad(Gaussian, "a source that contradicts the truth", "SOURCE=gaussian", nil),
		bad(Gaussian, "an unknown sampler", "SAMPLER=hmc", nil),
		bad(Gaussian, "an absent checkpoint", "RESUME=absent.safetensors", nil),
		bad(Gaussian, "a folder for a checkpoint", "RESUME=/", nil),
		bad(Gaussian, "a results folder that is a file", "OUT=file", map[string][]byte{"file": nil}),
		bad(Gaussian, "a covariance that is not square", "COV=1,2;3", nil),
		bad(Gaussian, "a covariance that is not symmetric", "COV=1,2;3,9", nil),
		bad(Gaussian, "a covariance that is not definite", "COV=1,2;2,1", nil),
		bad(Gaussian, "an immense covariance", "COV=1e300", nil),
		bad(Gaussian, "a mean of another dimension", "MEAN=1,2,3", nil),
		bad(Mixture1D, "a component without a deviation", "MIXTURE=1,0", nil),
		bad(Mixture1D, "a deviation next to 0", "MIXTURE=1,0,1e-300", nil),
		bad(Mixture1D, "weights of 0", "MIXTURE=0,0,1", nil),
		bad(Mixture1D, "an empty list", "AT=", nil),
		bad(Mixture1D, "a source that an energy does not have", "SOURCE=gaussian", nil),
		bad(Energy, "an unknown energy", "ENERGY=moons", nil),
		bad(Energy, "a loss of samples for an energy", "LOSS=dual", nil),
		bad(Energy, "components of two dimensions", "MIXTURE=1,0,0,1;1,0,1", nil),
		bad(Energy, "a mean at infinity", "MIXTURE=1,Inf,0,1", nil),
		bad(Energy, "a batch that groups of one context do not fill", "ENERGY=turning-gaussian BATCH=100", nil),
		bad(Energy, "one constant for all contexts", "ENERGY=turning-gaussian LOSS=monge-ampere-constant", nil),
		bad(Energy, "features of contexts that there are not", "FEATURES=8", nil),
		bad(Energy, "contexts to judge by that there are not", "MIXTURE=1,0,0,1 JUDGED=9", nil),
		bad(Energy, "shares of nothing", "OWN=0 WALK=0 SPREAD=0", nil),
		bad(Energy, "a negative share", "OWN=-1", nil),
		bad(MNIST, "a bound of pixels beyond a half", "SPACE=pixels ALPHA=0.6", nil),
		bad(MNIST, "a noise carried too far", "SPACE=pixels CARRY=0.6", nil),
		bad(MNIST, "a likelihood of carried noise", "SPACE=pixels LOSS=dual+.1*likelihood-cg", nil),
		bad(MNIST, "more convolutions than the picture holds", "SPACE=pixels FILTERS=8,8,8,8", nil),
		bad(MNIST, "immensely many filters", "SPACE=pixels FILTERS=60000", nil),
		bad(MNIST, "an unknown space", "SPACE=hilbert", nil),
		bad(MNIST, "a variable of pixels in a latent space", "CARRY=0.2", nil),
		bad(MNIST, "a variable of latents in pixels", "SPACE=pixels LATENTS=8", nil),
		bad(MNIST, "more digits than are held out", "SAMPLES=20000", nil),
		bad(inpaint.Inpaint, "an unknown hole", "HOLES=half,edge", nil),
		bad(Cartoon, "more directions than pictures allow", "SPACE=pixels PICTURES=1000 SIDE=8 SAMPLES=64", nil),
		bad(Cartoon, "more pictures than memory", "PICTURES=1000000000", nil),
		bad(Samples, "no file", "DATA_FILE=", nil),
		bad(monge.Transport, "a source without a target", "SOURCE_FILE=source.npy TARGET_FILE=", nil),
		bad(monge.Transport, "a term of densities for a table", "SOURCE_FILE=source.npy TARGET_FILE=target.npy LOSS=dual+likelihood-cg", nil),
		bad(monge.Transport, "an absent source", "SOURCE_FILE=source.npy TARGET_FILE=target.npy", nil),
		bad(monge.Transport, "tables of different columns", "SOURCE_FILE=source.csv TARGET_FILE=target.csv", map[string][]byte{"source.csv": rows("a,b"), "target.csv": rows("b,c")}),
		bad(monge.Transport, "tables of different widths", "SOURCE_FILE=source.csv TARGET_FILE=target.csv", map[string][]byte{"source.csv": rows("a,b"), "target.csv": rows("a,b,c")}),
		bad(monge.Transport, "points of different columns", "SOURCE_FILE=source.csv TARGET_FILE=source.csv POINTS=points.csv", map[string][]byte{"source.csv": rows("a,b"), "points.csv": rows("a,d")}),
		bad(Toy2D, "an unknown set", "DATASET=moon", nil),
	}
}

// rows is a table of 300 rows under a header.
func rows(header string) []byte {
	columns := strings.Count(header, ",") + 1
	text := header + "\n"
	for i := range 300 {
		var values []string
		for j := range columns {
			values = append(values, fmt.Sprint(math.Sin(float64(i*(j+2)))))
		}
		text += strings.Join(values, ",") + "\n"
	}
	return []byte(text)
}

// arrayFile is a NumPy array file.
func arrayFile(dtype, fortran, shape string, body []byte) []byte {
	header := "{'descr': " + dtype + ", 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n"
	file := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	return append(append(file, header...), body...)
}

// pointsFile is an array file with the values of at.
func pointsFile(n, d int, at func(i, j int) float32) []byte {
	var body []byte
	for i := range n {
		for j := range d {
			body = binary.LittleEndian.AppendUint32(body, math.Float32bits(at(i, j)))
		}
	}
	return arrayFile("'<f4'", "False", fmt.Sprintf("(%d, %d)", n, d), body)
}

func badArrays() []inputs.Bad {
	noise := random.New(1, "noise", 0)
	normal := func(int, int) float32 { return float32(noise.NormFloat64()) }
	body := make([]byte, 1<<14)
	of := func(what string, file []byte) inputs.Bad {
		return bad(Samples, what, "DATA_FILE=points.npy", map[string][]byte{"points.npy": file})
	}
	mapped := func(what string, file []byte) inputs.Bad {
		return bad(monge.Transport, what, "SOURCE_FILE=points.npy TARGET_FILE=points.npy", map[string][]byte{"points.npy": file})
	}
	return []inputs.Bad{
		bad(Samples, "an absent file", "DATA_FILE=absent.npy", nil),
		bad(Samples, "a text of one line", "DATA_FILE=points.txt", map[string][]byte{"points.txt": []byte("1 2")}),
		bad(Samples, "a file of another kind", "DATA_FILE=points.xls", map[string][]byte{"points.xls": []byte("\xd0\xcf\x11\xe0")}),
		bad(Samples, "a device", "DATA_FILE=/dev/zero", nil),
		of("an empty array file", nil),
		of("text in an array file", []byte("1,2\n3,4\n")),
		of("complex numbers", arrayFile("'<c8'", "False", "(512, 2)", body)),
		of("whole numbers that are all 0", arrayFile("'<i4'", "False", "(2048, 2)", body)),
		of("Python objects", arrayFile("'|O'", "False", "(512, 2)", body)),
		of("a structured array with a text", arrayFile("[('x', '<f4'), ('y', '|S4')]", "False", "(2048,)", body)),
		of("a cut array", pointsFile(300, 2, normal)[:1000]),
		of("a cut array in Fortran order", arrayFile("'<f8'", "True", "(512, 8)", body[:9999])),
		of("an array of one dimension", arrayFile("'<f4'", "False", "(4096,)", body)),
		of("an array of three dimensions", arrayFile("'<f4'", "False", "(16, 16, 16)", body)),
		of("an array without rows", arrayFile("'<f4'", "False", "(0, 2)", nil)),
		of("an immense shape", arrayFile("'<f4'", "False", "(1000000000000000000, 1000000000000000000)", body)),
		of("a shape beyond whole numbers", arrayFile("'<f4'", "False", "(99999999999999999999, 1)", body)),
		of("a negative shape", arrayFile("'<f4'", "False", "(-4, -2)", body)),
		mapped("a row with NaN", pointsFile(300, 2, func(i, j int) float32 {
			if i == 6 && j == 1 {
				return float32(math.NaN())
			}
			return normal(i, j)
		})),
		of("a row with infinity", pointsFile(300, 2, func(i, j int) float32 {
			if i == 299 {
				return float32(math.Inf(-1))
			}
			return normal(i, j)
		})),
		of("a single point", pointsFile(1, 2, normal)),
		of("fewer rows than needed", pointsFile(99, 2, normal)),
		of("more coordinates than allowed", pointsFile(2100, 1050, func(i, j int) float32 { return float32(i ^ j) })),
		of("one point many times", pointsFile(300, 2, func(int, int) float32 { return 3 })),
		mapped("values of 1e30", pointsFile(300, 2, func(i, j int) float32 { return 1e30 * (1 + normal(i, j)) })),
		mapped("two values of 1e38", pointsFile(300, 1, func(i, _ int) float32 { return 3e38 * float32(i%2*2-1) })),
		mapped("a column twice", pointsFile(300, 2, func(i, _ int) float32 { return float32(i*i%307) / 100 })),
		bad(Toy2D, "three columns in the plane", "DATASET=points.npy", map[string][]byte{"points.npy": pointsFile(500, 3, normal)}),
		bad(Toy2D, "few points in the plane", "DATASET=points.npy", map[string][]byte{"points.npy": pointsFile(399, 2, normal)}),
		bad(Toy2D, "NaN in the plane", "DATASET=points.npy", map[string][]byte{"points.npy": pointsFile(500, 2, func(i, j int) float32 { return float32(math.NaN()) })}),
		bad(Toy2D, "one point many times in the plane", "DATASET=points.npy", map[string][]byte{"points.npy": pointsFile(500, 2, func(int, int) float32 { return 3 })}),
		bad(Toy2D, "points on a line in the plane", "DATASET=points.npy", map[string][]byte{"points.npy": pointsFile(500, 2, func(i, j int) float32 { return float32(i * (1 - j)) })}),
		bad(Toy2D, "points of 1e30 in the plane", "DATASET=points.npy", map[string][]byte{"points.npy": pointsFile(500, 2, func(i, j int) float32 { return 1e38 * normal(i, j) / 4 })}),
	}
}

func badTables() []inputs.Bad {
	lines := func(n int, line func(i int) string) string {
		var text strings.Builder
		for i := range n {
			text.WriteString(line(i) + "\n")
		}
		return text.String()
	}
	good := func(i int) string { return fmt.Sprintf("%d,%d", i, i*i%311) }
	but := func(row int, line string) func(int) string {
		return func(i int) string {
			if i == row {
				return line
			}
			return good(i)
		}
	}
	of := func(what, text string) inputs.Bad {
		return bad(Samples, what, "DATA_FILE=points.csv", map[string][]byte{"points.csv": []byte(text)})
	}
	mapped := func(what, text string) inputs.Bad {
		return bad(monge.Transport, what, "SOURCE_FILE=points.csv TARGET_FILE=points.csv", map[string][]byte{"points.csv": []byte(text)})
	}
	with := func(what, variables string) inputs.Bad {
		return bad(Samples, what, "DATA_FILE=points.csv "+variables, map[string][]byte{"points.csv": []byte("x,y\n" + lines(300, good))})
	}
	return []inputs.Bad{
		with("an unknown column", "COLUMNS=z:integer"),
		with("an unknown kind", "COLUMNS=x:complex"),
		with("a value beyond its bounds", "COLUMNS=x:[0,100]"),
		with("all columns skipped", "COLUMNS=x:skip,y:skip"),
		with("an unknown column of weights", "WEIGHT=w"),
		with("an unknown target", "TARGET=w"),
		with("an unknown given column", "GIVEN=z"),
		with("a given column twice", "GIVEN=x,1"),
		with("all columns given", "GIVEN=x,y"),
		with("a term that matches rows with each other, and a given column", "GIVEN=x LOSS=dual+pairs"),
		with("features of given columns that there are not", "FEATURES=8"),
		with("more quadratics than rows, and a given column", "GIVEN=x POTENTIAL=quadratics PIECES=5000"),
		bad(Samples, "a constant given column", "DATA_FILE=points.csv GIVEN=x", map[string][]byte{"points.csv": []byte("x,y\n" + lines(300, func(i int) string { return fmt.Sprintf("4,%d", i*i%311) }))}),
		bad(Samples, "a column that follows from the given one", "DATA_FILE=points.csv GIVEN=x", map[string][]byte{"points.csv": []byte("x,y\n" + lines(300, func(i int) string { return fmt.Sprintf("%d.5,%d.5", i*i%311, 7-3*(i*i%311)) }))}),
		bad(Samples, "negative weights", "DATA_FILE=points.csv WEIGHT=w", map[string][]byte{"points.csv": []byte("x,w\n" + lines(300, func(i int) string { return fmt.Sprintf("%d,%d", i*i%311, i-9) }))}),
		of("an empty table", ""),
		of("a table with only a header", "x,y\n"),
		of("a row of more columns", "x,y\n"+lines(300, but(9, "1,2,3"))),
		of("a word", "x,y\n"+lines(300, but(9, "1,two"))),
		mapped("an empty cell", "x,y\n"+lines(300, but(9, "1,"))),
		mapped("NaN", "x,y\n"+lines(300, but(9, "nan,2"))),
		mapped("a number beyond float32", "x,y\n"+lines(300, but(9, "1e39,2"))),
		of("semicolons and a row of three", "\ufeffx;y\n"+lines(300, func(i int) string { return strings.ReplaceAll(but(9, "1,2,3")(i), ",", ";") })),
		of("decimal commas and a point", "x;y\n"+lines(300, func(i int) string { return fmt.Sprintf("%d,5;%d,5", i, i) })+strings.Repeat("1,5;1,5\n", 100_000)+"1.5;2,5\n"),
		mapped("texts", "x,y\n"+lines(300, func(i int) string { return fmt.Sprintf("%d,%c", i, 'a'+i%3) })),
		of("dates that may have months or days first", "x,y\n"+lines(300, func(i int) string { return fmt.Sprintf("%02d/%02d/2024,%d", 1+i%12, 1+i/12%12, i) })),
		of("an open quote", "x,y\n"+lines(300, but(9, `"1,2`))),
		of("an immense line", "x,y\n1,"+strings.Repeat("2", 17<<20)),
		of("zeros and other bytes", "\x00\x01\x02\n\x00"),
		bad(monge.Transport, "a column that is constant in one table", "SOURCE_FILE=points.csv TARGET_FILE=target.csv", map[string][]byte{
			"points.csv": []byte("x,y\n" + lines(300, good)), "target.csv": []byte("x,y\n" + lines(300, func(i int) string { return fmt.Sprintf("%d,4", i) })),
		}),
		mapped("steps that float64 hardly resolves", "x\n"+lines(300, func(i int) string { return fmt.Sprint(1e15 + float64(i%3)/8) })),
		mapped("truth values", "x,ok\n"+lines(300, func(i int) string { return fmt.Sprintf("%d,%t", i, i%3 == 0) })),
		mapped("times in the units of the files", "x,day\n"+lines(300, func(i int) string { return fmt.Sprintf("%d,2024-%02d-%02d", i, 1+i%12, 1+i%28) })),
		bad(monge.Transport, "a hint for a column that no table has", "SOURCE_FILE=points.csv TARGET_FILE=points.csv COLUMNS=z:skip", map[string][]byte{"points.csv": []byte("x,y\n" + lines(300, good))}),
		bad(monge.Transport, "a circular column", "SOURCE_FILE=points.csv TARGET_FILE=points.csv COLUMNS=x:circular(0,90000)", map[string][]byte{"points.csv": []byte("x,y\n" + lines(300, good))}),
		bad(monge.Transport, "a further row without a value", "SOURCE_FILE=points.csv TARGET_FILE=points.csv POINTS=further.csv", map[string][]byte{"points.csv": []byte("x,y\n" + lines(300, good)), "further.csv": []byte("x,y\n1,2\n3,\n")}),
		of("two names for three columns", "x,y\n"+lines(300, func(i int) string { return good(i) + ",1" })),
	}
}

func badPictures(t *testing.T) []inputs.Bad {
	t.Helper()
	of := func(what string, files map[string][]byte) inputs.Bad {
		return bad(Samples, what, "DATA_FILE=pictures", files)
	}
	rect := image.Rect(0, 0, 4, 3)
	grey, large := pngFile(t, image.NewGray(rect)), pngFile(t, image.NewGray(image.Rect(0, 0, 3000, 1)))
	palette := image.NewPaletted(rect, color.Palette{color.Black, color.White})
	return []inputs.Bad{
		of("an empty folder", map[string][]byte{"pictures/readme.txt": nil}),
		of("pictures of two sizes", map[string][]byte{"pictures/a.png": grey, "pictures/b.png": pngFile(t, image.NewGray(image.Rect(0, 0, 3, 4)))}),
		of("a cut picture", map[string][]byte{"pictures/a.png": grey, "pictures/b.png": grey[:50]}),
		of("text in a picture", map[string][]byte{"pictures/a.png": []byte("no picture")}),
		of("a picture of 3000 pixels", map[string][]byte{"pictures/a.png": large}),
		of("a single picture of 16 bits", map[string][]byte{"pictures/a.png": pngFile(t, image.NewGray16(rect))}),
		of("two pictures with a palette", map[string][]byte{"pictures/a.png": pngFile(t, palette), "pictures/b.png": pngFile(t, palette)}),
	}
}

func pngFile(t *testing.T, picture image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// idx is an IDX file of zeros under these header words.
func idx(size int, words ...uint32) []byte {
	var file []byte
	for _, w := range words {
		file = binary.BigEndian.AppendUint32(file, w)
	}
	return append(file, make([]byte, size)...)
}

func badDigits() []inputs.Bad {
	const images, labels = 0x803, 0x801
	of := func(what, name string, file []byte) inputs.Bad {
		files := map[string][]byte{
			"data/mnist/train-images-idx3-ubyte": idx(20*784, images, 20, 28, 28),
			"data/mnist/train-labels-idx1-ubyte": idx(20, labels, 20),
			"data/mnist/t10k-images-idx3-ubyte":  idx(10*784, images, 10, 28, 28),
			"data/mnist/t10k-labels-idx1-ubyte":  idx(10, labels, 10),
		}
		files["data/mnist/"+name] = file
		return bad(MNIST, what, "DATA_DIR=data", files)
	}
	return []inputs.Bad{
		bad(MNIST, "a data folder that is a file", "DATA_DIR=file", map[string][]byte{"file": nil}),
		of("labels for images", "train-images-idx3-ubyte", idx(20, labels, 20)),
		of("cut images", "train-images-idx3-ubyte", idx(19*784, images, 20, 28, 28)),
		of("an immense count of images", "train-images-idx3-ubyte", idx(784, images, 1<<31, 1<<31, 28)),
		of("fewer labels than images", "train-labels-idx1-ubyte", idx(19, labels, 19)),
		of("a label beyond 9", "t10k-labels-idx1-ubyte", append(idx(9, labels, 10), 10)),
		of("a damaged gzip file", "t10k-images-idx3-ubyte.gz", []byte("\x1f\x8b\x08no more")),
		of("digits of another size in the test set", "t10k-images-idx3-ubyte", idx(10*28, images, 10, 7, 4)),
	}
}

func badArchives(t *testing.T) []inputs.Bad {
	t.Helper()
	archive := func(headers ...tar.Header) []byte {
		var out bytes.Buffer
		zip := gzip.NewWriter(&out)
		w := tar.NewWriter(zip)
		for _, h := range headers {
			content := []byte("no picture")
			if h.Typeflag == tar.TypeReg {
				h.Size = int64(len(content))
			}
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if h.Typeflag == tar.TypeReg {
				w.Write(content)
			}
		}
		w.Close()
		zip.Close()
		return out.Bytes()
	}
	of := func(what string, file []byte) inputs.Bad {
		return bad(Cartoon, what, "DATA_DIR=data PRESET=quick", map[string][]byte{"data/cartoon/cartoonset10k.tgz": file})
	}
	whole := archive(tar.Header{Name: "a.txt", Typeflag: tar.TypeReg})
	return []inputs.Bad{
		of("no archive", []byte("no archive")),
		of("a cut archive", whole[:len(whole)/2]),
		of("an entry that climbs out", archive(tar.Header{Name: "../../../outside.png", Typeflag: tar.TypeReg})),
		of("an entry at the root", archive(tar.Header{Name: "/outside.png", Typeflag: tar.TypeReg})),
		of("links only", archive(tar.Header{Name: "a.png", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, tar.Header{Name: "b.png", Typeflag: tar.TypeLink, Linkname: "../outside"})),
		bad(Cartoon, "an archive other than the downloaded one", "DATA_DIR=data PRESET=quick", map[string][]byte{
			"data/cartoon/cartoonset10k.tgz": whole, "data/cartoon/cartoonset10k.tgz.sha256": []byte("0123  cartoonset10k.tgz\n"),
		}),
	}
}

// badCheckpoints damages the checkpoint of a short run in the plane.
func badCheckpoints(t *testing.T) []inputs.Bad {
	t.Helper()
	env := config.Variables("CMF_OUT=run", "CMF_STEPS=2", "CMF_BATCH=16", "CMF_HIDDEN=4,4")
	if _, err := plane.Moons.Execute(t.Context(), env, io.Discard); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join("run", "checkpoint.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(c *graph.Checkpoint)) []byte {
		c, err := graph.ParseCheckpoint(whole)
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		file, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	of := func(what string, file []byte) inputs.Bad {
		return bad(Generate, what, "CHECKPOINT=model", map[string][]byte{"model": file})
	}
	architecture := func(text string) []byte {
		return changed(func(c *graph.Checkpoint) { c.Texts["architecture"] = text })
	}
	if err := data.WriteNPY("plane.npy", blas32.General{Rows: 1, Cols: 3, Stride: 3, Data: []float32{1, 2, 3}}); err != nil {
		t.Fatal(err)
	}
	three, err := os.ReadFile("plane.npy")
	if err != nil {
		t.Fatal(err)
	}
	resumed := func(what, variables string, file []byte) inputs.Bad {
		return bad(plane.Moons, what, "RESUME=model STEPS=4 "+variables, map[string][]byte{"model": file})
	}
	return []inputs.Bad{
		bad(Generate, "no checkpoint", "CHECKPOINT=", nil),
		bad(Generate, "an absent checkpoint", "CHECKPOINT=absent", nil),
		bad(Generate, "a folder for a checkpoint", "CHECKPOINT=/", nil),
		bad(Generate, "a device for a checkpoint", "CHECKPOINT=/dev/zero", nil),
		of("text for a checkpoint", []byte("no checkpoint")),
		of("a cut checkpoint", whole[:len(whole)-100]),
		of("a checkpoint that is not of an experiment", changed(func(c *graph.Checkpoint) { clear(c.Texts) })),
		of("NaN in a weight", changed(func(c *graph.Checkpoint) { c.Tensors["weight.layer0.skip"].F32[0] = float32(math.NaN()) })),
		of("another network", architecture(`{"Dim":2,"Hidden":[4,5]}`)),
		of("an immense network", architecture(`{"Dim":2,"Hidden":[4,1000000000],"Full":true}`)),
		of("another dimension", architecture(`{"Dim":3,"Hidden":[4,4],"DiagonalSkips":true,"Rank":1}`)),
		bad(Generate, "points of another dimension", "CHECKPOINT=model POINTS=three.npy COUNT=0", map[string][]byte{"model": whole, "three.npy": three}),
		bad(Generate, "an absent file of points", "CHECKPOINT=model POINTS=absent.csv COUNT=0", map[string][]byte{"model": whole}),
		bad(Generate, "more points than allowed", "CHECKPOINT=model COUNT=1000000000000", map[string][]byte{"model": whole}),
		bad(inpaint.Inpaint, "a checkpoint that is not of digits", "CHECKPOINT=model", map[string][]byte{"model": whole}),
		bad(inpaint.Inpaint, "a checkpoint to use and one to go on from", "CHECKPOINT=model RESUME=model", map[string][]byte{"model": whole}),
		resumed("a run with another network", "BATCH=16 HIDDEN=4,5", whole),
		resumed("a run with another batch", "BATCH=32 HIDDEN=4,4", whole),
		resumed("a cut checkpoint to go on from", "BATCH=16 HIDDEN=4,4", whole[:100]),
	}
}

// badContexts asks a model of two columns given two others for draws.
func badContexts(t *testing.T) []inputs.Bad {
	t.Helper()
	text := "size,site,y,z\n"
	for i := range 200 {
		text += fmt.Sprintf("%d,%c,%g,%g\n", i*i%97, 'a'+i%3, math.Sin(float64(i*i)), math.Cos(float64(7*i*i)))
	}
	if err := os.WriteFile("table.csv", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	model := func(folder string, variables ...string) []byte {
		env := config.Variables("CMF_OUT="+folder, "CMF_DATA_FILE=table.csv", "CMF_STEPS=2", "CMF_BATCH=16", "CMF_HIDDEN=4", "CMF_COUNT=10", "CMF_MIXING=20", "CMF_PARTICLES=256").With(variables...)
		if _, err := Samples.Execute(t.Context(), env, io.Discard); err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(filepath.Join(folder, "checkpoint.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return whole
	}
	given, plain := model("given", "CMF_GIVEN=size,site", "CMF_FEATURES=2"), model("plain")
	of := func(what, contexts string) inputs.Bad {
		return bad(Generate, what, "CHECKPOINT=model CONTEXTS=contexts.csv", map[string][]byte{"model": given, "contexts.csv": []byte(contexts)})
	}
	return []inputs.Bad{
		bad(Generate, "no contexts for a model that is given columns", "CHECKPOINT=model", map[string][]byte{"model": given}),
		bad(Generate, "contexts for a model of all columns", "CHECKPOINT=model CONTEXTS=contexts.csv", map[string][]byte{"model": plain, "contexts.csv": []byte("size,site\n1,a\n")}),
		bad(Generate, "an absent file of contexts", "CHECKPOINT=model CONTEXTS=absent.csv", map[string][]byte{"model": given}),
		bad(Generate, "more draws of contexts than allowed", "CHECKPOINT=model CONTEXTS=contexts.csv COUNT=6000000", map[string][]byte{"model": given, "contexts.csv": []byte("size,site\n1,a\n2,b\n")}),
		of("contexts without a column", "size\n1\n"),
		of("contexts without names and of another width", "1,a,2\n2,b,3\n"),
		of("contexts without rows", "size,site\n"),
		of("a context with an unknown label", "size,site\n1,a\n2,d\n"),
		of("a context with a missing value", "size,site\n1,a\n,b\n"),
		of("a context with a text for a number", "size,site\nsmall,a\nlarge,b\n"),
		bad(Generate, "whole rows without a given column", "CHECKPOINT=model COUNT=0 POINTS=points.csv", map[string][]byte{"model": given, "points.csv": []byte("size,y,z\n1,2,3\n")}),
	}
}
