/* The calls of calls.dfl as an extension of Python by hand: the fastest way that its C interface offers. */
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <Python.h>
#include <math.h>
#include <numpy/arrayobject.h>
#include <structmember.h>

static PyObject *square(PyObject *self, PyObject *arg) {
    double x = PyFloat_AsDouble(arg);
    if (x == -1.0 && PyErr_Occurred()) return NULL;
    return PyFloat_FromDouble(x * x);
}

static PyObject *slope(PyObject *self, PyObject *arg) {
    double x = PyFloat_AsDouble(arg);
    if (x == -1.0 && PyErr_Occurred()) return NULL;
    return PyFloat_FromDouble(5.0 * cos(x));
}

static PyObject *six(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    double v[6], g[6];
    if (n != 6) return PyErr_Format(PyExc_TypeError, "six numbers are wanted");
    for (int k = 0; k < 6; k++) {
        v[k] = PyFloat_AsDouble(args[k]);
        if (v[k] == -1.0 && PyErr_Occurred()) return NULL;
    }
    g[0] = v[1], g[1] = v[0], g[2] = v[3] * v[4], g[3] = v[2] * v[4], g[4] = v[2] * v[3], g[5] = 2 * v[5];
    PyObject *result = PyTuple_New(6);
    if (!result) return NULL;
    for (int k = 0; k < 6; k++) {
        PyObject *item = PyFloat_FromDouble(g[k]);
        if (!item) { Py_DECREF(result); return NULL; }
        PyTuple_SET_ITEM(result, k, item);
    }
    return result;
}

static double gradient(const double *x, double *g, npy_intp n) {
    double s = 0.0;
    for (npy_intp i = 0; i < n; i++) g[i] = 0.0;
    for (npy_intp i = 0; i + 1 < n; i++) {
        double t = x[i + 1] - x[i] * x[i], u = 1.0 - x[i];
        s += 100.0 * t * t + u * u;
        g[i] += -400.0 * t * x[i] - 2.0 * u;
        g[i + 1] += 200.0 * t;
    }
    return s;
}

static int good(PyObject *a) {
    if (PyArray_CheckExact(a) && PyArray_TYPE((PyArrayObject *)a) == NPY_DOUBLE && PyArray_NDIM((PyArrayObject *)a) == 1 &&
        PyArray_ISCARRAY((PyArrayObject *)a)) return 1;
    PyErr_SetString(PyExc_TypeError, "a vector of float64 is wanted");
    return 0;
}

static PyObject *pair(double value, PyObject *array) {
    PyObject *number = PyFloat_FromDouble(value), *result = number ? PyTuple_New(2) : NULL;
    if (!result) { Py_XDECREF(number); Py_DECREF(array); return NULL; }
    PyTuple_SET_ITEM(result, 0, number);
    PyTuple_SET_ITEM(result, 1, array);
    return result;
}

static PyObject *fresh(PyObject *self, PyObject *x) {
    if (!good(x)) return NULL;
    npy_intp n = PyArray_SIZE((PyArrayObject *)x);
    PyObject *g = PyArray_SimpleNew(1, &n, NPY_DOUBLE);
    if (!g) return NULL;
    return pair(gradient(PyArray_DATA((PyArrayObject *)x), PyArray_DATA((PyArrayObject *)g), n), g);
}

static PyObject *into(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    if (n != 2 || !good(args[0]) || !good(args[1])) return NULL;
    PyArrayObject *x = (PyArrayObject *)args[0], *g = (PyArrayObject *)args[1];
    if (PyArray_SIZE(x) != PyArray_SIZE(g)) return PyErr_Format(PyExc_ValueError, "sizes differ");
    Py_INCREF(g);
    return pair(gradient(PyArray_DATA(x), PyArray_DATA(g), PyArray_SIZE(x)), (PyObject *)g);
}

/* The first two again as objects of a type of its own, which may have attributes: `grad`, say. A builtin has none. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *(*function)(PyObject *, PyObject *);
} Object;

static PyObject *call(PyObject *self, PyObject *const *args, size_t n, PyObject *names) {
    if (names || PyVectorcall_NARGS(n) != 1) return PyErr_Format(PyExc_TypeError, "one number is wanted");
    return ((Object *)self)->function(self, args[0]);
}

static PyMemberDef members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(Object, call), READONLY, NULL}, {NULL}};

static PyType_Slot slots[] = {{Py_tp_members, members}, {Py_tp_call, PyVectorcall_Call}, {0, NULL}};

static PyType_Spec spec = {"calls.Object", sizeof(Object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, slots};

static int add_object(PyObject *module, PyTypeObject *type, const char *name, PyObject *(*function)(PyObject *, PyObject *)) {
    Object *made = PyObject_New(Object, type);
    if (!made) return -1;
    made->call = call, made->function = function;
    return PyModule_AddObject(module, name, (PyObject *)made);
}

static PyMethodDef methods[] = {
    {"square", square, METH_O, ""},
    {"slope", slope, METH_O, ""},
    {"six", (PyCFunction)(void (*)(void))six, METH_FASTCALL, ""},
    {"fresh", fresh, METH_O, ""},
    {"into", (PyCFunction)(void (*)(void))into, METH_FASTCALL, ""},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "calls", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_calls(void) {
    import_array();
    PyObject *made = PyModule_Create(&module), *type = PyType_FromSpec(&spec);
    if (!made || !type || add_object(made, (PyTypeObject *)type, "square_object", square) ||
        add_object(made, (PyTypeObject *)type, "slope_object", slope)) return NULL;
    return made;
}
