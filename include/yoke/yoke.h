/* yoke: trains neural networks on many devices. All of the public API. */
#ifndef YOKE_YOKE_H
#define YOKE_YOKE_H

#include "yoke/bench.h"
#include "yoke/checkpoint.h"
#include "yoke/cluster.h"
#include "yoke/compare.h"
#include "yoke/data.h"
#include "yoke/generate.h"
#include "yoke/job.h"
#include "yoke/layout.h"
#include "yoke/machine.h"
#include "yoke/model.h"
#include "yoke/planning.h"
#include "yoke/predict.h"
#include "yoke/record.h"
#include "yoke/schedule.h"
#include "yoke/simulate.h"
#include "yoke/status.h"
#include "yoke/tokenizer.h"
#include "yoke/train.h"
#include "yoke/version.h"

#endif
