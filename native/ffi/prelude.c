#include "edgerun.h"
#include "edgerun_runtime.h"
