package sweep

import (
	"testing"

	"cmf/experiments/internal/exptest"
)

func TestMain(m *testing.M) { exptest.Main(m) }
