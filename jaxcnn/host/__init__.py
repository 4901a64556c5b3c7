"""What jaxcnn asks of the machine it runs on: sentences for bad input, whole files, settings, interrupts, versions."""
