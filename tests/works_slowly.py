"""Loaded into a worker of Dask's by --preload: every block takes a while, so that there is a middle to do something in."""

import time

from fastgrad.numerical import parameter

run = parameter.ParameterPlan.run


def slowly(self, *arguments):
    time.sleep(0.02)
    run(self, *arguments)


parameter.ParameterPlan.run = slowly
