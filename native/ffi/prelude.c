#include "edgerun.h"
