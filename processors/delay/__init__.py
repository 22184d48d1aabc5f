"""The delay service: releases each delivery from its stream when its time has come."""
